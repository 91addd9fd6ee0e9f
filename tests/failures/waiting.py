"""The failures whose tests need more than the ledger, and what each waits for."""

WAITING = {
    "SN2": "hanging consumers are detected; needs a broker",
    "SN3": "a broker that restarts loses no work; needs a broker",
    "SN4": "a full broker loses no work; needs a broker",
}
