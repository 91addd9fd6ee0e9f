from __future__ import annotations

from joblot import claim, progress, report, submit
from joblot.wire import success


def test_a_job_is_submitted_worked_and_finished(ledger_db: str) -> None:
    job = submit(
        "numbers", ({"key": str(n), "payload": {"n": n}} for n in range(100)), pipeline="p"
    )
    while lease := next(iter(claim("p", 16).leases), None):
        results = [
            success(i.id, {"square": i.payload["n"] ** 2}, {"bytes": 3}) for i in lease.items
        ]
        assert {r.receipt for r in report(lease.token, results)} == {"counted"}
    state = progress(job.pk)
    assert state["status"] == "SUCCESS"
    assert state["stages"][0]["succeeded"] == 100
    assert state["stages"][0]["metrics"] == {"bytes": 300}
