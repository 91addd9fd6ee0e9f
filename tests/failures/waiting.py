"""The failures that need more than the ledger to be shown, and what each waits for."""

WAITING = {
    "CT4": "a heartbeat is coalesced and may be lost; needs the server's record of workers",
    "CT7": "every wait has a deadline shorter than a lease; needs a network that swallows packets",
    "CL8": "a heartbeat is one worker's own; needs the server's record of workers",
    "SN1": "a sweeper that stands still is noticed; needs the server's health",
    "SN2": "consumers that hang are noticed; needs a broker",
    "SN3": "a broker that restarts loses no work; needs a broker",
    "SN4": "a broker that is full loses no work; needs a broker",
    "WK1": "a killed worker costs its leases at most; needs the worker's process",
    "WK2": "a frozen computation loses its lease; needs the worker's loop",
    "WK3": "a batch that fails is tried one by one; needs the worker's loop",
    "WK4": "a worker keeps its results until their receipts; needs the worker's loop",
    "WK5": "an odd item fails alone; needs the worker's loop",
}
