"""The protocol of an older worker, Antenna's, over the same verbs: its fleets serve unmodified.

That worker never sends anything twice, renews nothing, tells nobody that it stops, and lets go of
a batch's results on any answer but a good one. So what it posts is taken as it comes and judged
one by one, and whatever gets lost comes back with its lease.
"""
