"""A process for tests to kill: `python -m tests.crashes.killed ACT ARG`.

It stops at a point in the middle of its act, says so on standard output, and waits there.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import django

ITEMS = 50


def main() -> None:
    django.setup()
    acts = {
        "report": in_the_middle_of_a_report,
        "plain report": report_all,
        "submit": in_the_middle_of_a_submission,
    }
    acts[sys.argv[1]]()


def wait_to_be_killed() -> None:
    sys.stdout.write("here\n")
    sys.stdout.flush()
    threading.Event().wait()


def in_the_middle_of_a_report() -> None:
    """Everything is written, nothing is committed: the hook runs inside the transaction."""
    from joblot import on_result, report
    from joblot.wire import success

    on_result("p")(lambda results: wait_to_be_killed())
    report(sys.argv[2], [success(number) for number in range(ITEMS)])


def report_all() -> None:
    """Stops at no point of its own: the test keeps the database from answering."""
    from joblot import report
    from joblot.wire import success

    report(sys.argv[2], [success(number) for number in range(ITEMS)])


def in_the_middle_of_a_submission() -> None:
    """Some chunks are committed."""
    from joblot import config, submit

    config.configure({"add_chunk_items": 10})
    submit("stream", stream(), pipeline="p", idempotency_key=sys.argv[2])


def stream() -> Iterator[str]:
    for number in range(ITEMS):
        if number == ITEMS // 2:  # two whole chunks and half a one
            wait_to_be_killed()
        yield f"k{number}"


if __name__ == "__main__":
    main()
