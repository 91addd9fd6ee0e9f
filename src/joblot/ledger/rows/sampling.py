"""How often a job's progress is sampled, and which samples are kept as they grow old."""

from __future__ import annotations

SAMPLE_SECONDS = 10  # between two samples of a job, and the width of the buckets of an estimate

# (older than so many ticks, keep every n-th): about 90 rows for the last 15 minutes, 105 for the
# next 2 hours, 132 for the rest of a day and 12 for each day after that.
THINNED = ((90, 6), (720, 60), (8_640, 720))
THIN_EVERY_TICKS = 6
