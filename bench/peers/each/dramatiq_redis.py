"""Dramatiq on Redis: a group of all items with a completion callback.

Tuned: one thread for each of the two processes, since the no-op has nothing to wait for, and a
longer prefetch. The default is 8 threads in each process.
https://dramatiq.io/advanced.html (workers, prefetch limits)
https://dramatiq.io/cookbook.html (callbacks of groups)
"""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq import group
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend
from note import ITEMS, REDIS_URL, TUNED, called_back, program, ran

broker = RedisBroker(url=f"{REDIS_URL}/0")
broker.add_middleware(GroupCallbacks(RedisBackend(url=f"{REDIS_URL}/1")))
dramatiq.set_broker(broker)


@dramatiq.actor
def one(number: int) -> None:
    ran(number)


@dramatiq.actor
def done() -> None:
    called_back()


def submit() -> None:
    everything = group(one.message(number) for number in range(ITEMS))
    everything.add_completion_callback(done.message())
    everything.run()


def drain() -> None:
    os.environ |= {"dramatiq_queue_prefetch": "100"} if TUNED else {}
    threads = ["--threads", "1"] if TUNED else []
    command = program("dramatiq")
    os.execv(command, [command, "dramatiq_redis", "--processes", "2", *threads])


if __name__ == "__main__":
    {"prepare": lambda: None, "submit": submit, "drain": drain}[sys.argv[1]]()
