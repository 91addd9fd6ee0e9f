"""What must hold at the end of the demo: every number exactly as the input defines it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from joblot.demo.run import Run
from joblot.states import JobStatus, Receipt
from joblot.testing.check import Check

OUTCOMES = ("succeeded", "failed", "lost", "skipped")
WELCOME = frozenset({Receipt.COUNTED, Receipt.DUPLICATE})


def checks(run: Run) -> list[Check]:
    return [*_counts(run), *_workers(run), *_rows(run), *_finish(run)]


def _counts(run: Run) -> Iterator[Check]:
    images = len(run.digits.images)
    classify, save = run.job["stages"]
    yield Check("status", JobStatus.COMPLETED_WITH_ERRORS.value, run.job["status"])
    for stage, expected in ((classify, [images, 1, 0, 0]), (save, [images, 0, 0, 1])):
        found = [stage[outcome] for outcome in OUTCOMES]
        yield Check(f"{stage['name']}: {', '.join(OUTCOMES)}", expected, found)
    yield Check("ink in all images, a metric", run.digits.ink, classify["metrics"].get("ink"))
    causes = [[one["key"], why["error"]["type"]] for one in run.failed for why in one["outcomes"]]
    yield Check("failed items, with their causes", [["broken", "ValueError"]], causes)


def _workers(run: Run) -> Iterator[Check]:
    """The workers' receipts must agree with the ledger."""
    settled = 2 * len(run.digits.images) + 1
    yield Check("results with the receipt counted", settled, run.receipts["counted"])
    killed = run.killed.worker if run.killed else None
    expected = {name: -signal.SIGKILL if name == killed else 0 for name in run.exit_codes}
    yield Check("exit codes of the workers", expected, run.exit_codes)
    held = run.late.items if run.late else 0
    received = 0 < held <= run.late_receipts.total() and set(run.late_receipts) <= WELCOME
    yield Check("results after the lease's expiry were accepted", True, received)


def _rows(run: Run) -> Iterator[Check]:
    yield Check("rows saved by the hook", len(run.digits.images), len(run.saved))
    yield Check("digits recognized, as without joblot", run.digits.right_alone(), run.right)


def _finish(run: Run) -> Iterator[Check]:
    yield Check("finished events", 1, run.finished_events)
    yield Check("finished events delivered to the handler", 1, run.finishes_told)
    broken = [check["invariant"] for check in run.audit["checks"] if not check["ok"]]
    yield Check("invariants that the audit finds violated", [], broken)
