"""The ledger: the only writer of state.

Producers call `submit` and `job`; workers call `claim`, `report` and `lease`; the clock calls
`maintain`; readers call `read`. Underneath: `job/reconcile` (finishes and amends runs), `rows` (how
rows are read and written, with the compare-and-set of the job's row) and `db` (transactions, SQL).
"""
