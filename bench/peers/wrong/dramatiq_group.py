"""A member of a Dramatiq group that runs twice is counted twice: the callback fires too early.

    bench/peers/.venv/dramatiq/bin/python bench/peers/wrong/dramatiq_group.py

A message is delivered again when its worker dies between the work and the acknowledgement. Here the
message of "quick" is enqueued twice, which is the same for the group's barrier: it counts down once
per run. "slow" has not finished when the callback of both is called.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend

PORT = 6391
URL = f"redis://127.0.0.1:{PORT}"
finished: list[str] = []
called_back = threading.Event()


class Sent(dramatiq.Middleware):
    """The messages as they were enqueued."""

    messages: list[dramatiq.Message] = []  # noqa: RUF012

    def after_enqueue(self, broker: object, message: dramatiq.Message, delay: object) -> None:
        self.messages.append(message)


broker = RedisBroker(url=URL)
broker.add_middleware(GroupCallbacks(RedisBackend(url=URL)))
broker.add_middleware(Sent())
dramatiq.set_broker(broker)


@dramatiq.actor
def member(name: str, seconds: float) -> None:
    time.sleep(seconds)
    finished.append(name)


@dramatiq.actor
def callback() -> None:
    print(f"callback: all are done, it says; these have finished: {finished}")
    called_back.set()


def main() -> None:
    members = [member.message("quick", 0.1), member.message("slow", 5)]
    both = dramatiq.group(members)
    both.add_completion_callback(callback.message())
    both.run()
    broker.enqueue(Sent.messages[0])  # delivered again
    worker = dramatiq.Worker(broker, worker_threads=4)
    worker.start()
    called_back.wait(20)
    worker.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(PORT), "--dir", folder]
        redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(1)
            main()
        finally:
            redis.kill()
            redis.wait()
