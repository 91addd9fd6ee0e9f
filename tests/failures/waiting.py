"""The failures that need more than the ledger to be shown, and what each waits for."""

WAITING = {
    "SN2": "consumers that hang are noticed; needs a broker",
    "SN3": "a broker that restarts loses no work; needs a broker",
    "SN4": "a broker that is full loses no work; needs a broker",
}
