"""django-celery-results counts a chord member that runs twice twice: the callback never fires.

    bench/peers/.venv/celery_django/bin/python bench/peers/wrong/celery_django_chord.py

A task is delivered again when its worker dies before the acknowledgement (acks_late), or when it
takes longer than Redis' visibility timeout. Here the message of "quick" is published twice, which
is the same for the chord's counter: it counts down once per run, and reaches zero while "slow"
runs. The counter is deleted then, and nothing calls the callback. (Celery's own Redis backend
remembers which members it has counted, and counts each once.)
"""

from __future__ import annotations

import tempfile
import threading
import time

import django
from django.conf import settings
from django.core.management import call_command

FOLDER = tempfile.TemporaryDirectory()
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{FOLDER.name}/results.sqlite3",
        }
    },
    INSTALLED_APPS=["django_celery_results"],
    USE_TZ=True,
)
django.setup()

from celery import Celery, chord  # noqa: E402 (its result backend needs Django's settings)
from celery.contrib.testing.worker import start_worker  # noqa: E402
from celery.signals import before_task_publish  # noqa: E402

app = Celery("chord", broker="memory://", backend="django-db")
finished: list[str] = []
called_back = threading.Event()
sent: list[tuple[object, dict[str, object]]] = []


@app.task(name="member")
def member(name: str, seconds: float) -> None:
    time.sleep(seconds)
    finished.append(name)


@app.task(name="callback")
def callback(results: list[None]) -> None:
    print("callback")
    called_back.set()


@before_task_publish.connect
def remember(body: object, headers: dict[str, object], **_: object) -> None:
    sent.append((body, headers))


def main() -> None:
    call_command("migrate", verbosity=0)
    chord([member.s("quick", 0.1), member.s("slow", 5)])(callback.s())
    body, headers = sent[0]
    with app.producer_pool.acquire() as producer:  # delivered again
        producer.publish(
            body, headers=headers, routing_key="celery", serializer="json", exchange=""
        )
    with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False):
        fired = called_back.wait(20)
    print(f"finished: {finished}; the callback fired: {fired}")


if __name__ == "__main__":
    main()
