"""The ledger: the only writer of state.

Producers call `submit`, `lifecycle`; workers call `claims`, `settle`, `leases`; the clock calls
`sweep`; readers call `progress`, `items`, `events`, `logs`, `why`, `audit`. Underneath: `look`
(finishing), `settlement`, `queue`, `tallies`, `jobs` (the compare-and-set), `transactions`.
"""
