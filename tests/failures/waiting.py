"""The failures that need more than the ledger to be shown, and what each waits for."""

WAITING = {
    "CT4": "a heartbeat is coalesced and may be lost; needs the server's record of workers",
    "CL8": "a heartbeat is one worker's own; needs the server's record of workers",
    "SN1": "a sweeper that stands still is noticed; needs the server's health",
    "SN2": "consumers that hang are noticed; needs a broker",
    "SN3": "a broker that restarts loses no work; needs a broker",
    "SN4": "a broker that is full loses no work; needs a broker",
}
