"""A mirror of jobs in Redis: their progress and events, for more readers than the database serves.

It holds copies only. Without Redis, or after it was flushed, readers get the same from the ledger.
"""

from joblot.contrib.redis.mirror import Mirror

__all__ = ["Mirror"]
