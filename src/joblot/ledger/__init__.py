"""The ledger: the only writer of state.

Producers call `submit`, `lifecycle`; workers call `claims`, `report`, `leases`; the clock calls
`sweep`; readers call `progress`, `items`, `events`, `logs`, `why`, `audit`. Underneath: `look`
(finishing), `queue`, `tallies`, `jobs` (the compare-and-set), `transactions`.
"""
