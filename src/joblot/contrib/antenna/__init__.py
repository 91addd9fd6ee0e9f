"""The protocol of an older worker, Antenna's, over the same verbs: its fleets work unmodified.

That worker never retries a request, renews no lease, does not announce that it stops, and drops a
batch's results on any error response. So what it posts is accepted as it is and judged one by one,
and items whose results are lost return when their lease expires.
"""
