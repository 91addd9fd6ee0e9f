"""A mirror of jobs' progress in Redis, for more readers than the database should serve.

It holds copies only. Without Redis, or after it was flushed, readers get the same from the ledger.
"""

from joblot.contrib.redis.mirror import Mirror

__all__ = ["Mirror"]
