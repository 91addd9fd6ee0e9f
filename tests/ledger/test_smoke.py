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


def test_readers(ledger_db: str) -> None:
    from joblot.ledger.read.audit import audit
    from joblot.ledger.read.history import events
    from joblot.ledger.read.items import items, outputs
    from joblot.ledger.read.log_lines import logs
    from joblot.ledger.read.why import why
    from joblot.ledger.rows.log import log
    from joblot.wire import failure

    stages = [{"name": "a", "pipeline": "pa"}, {"name": "b", "pipeline": "pb"}]
    job = submit("two", [str(n) for n in range(40)], stages=stages)
    lease = claim("pa", 10).leases[0]
    report(lease.token, [success(i.id, i.key) for i in lease.items[1:]])
    report(lease.token, [failure(lease.items[0].id, "Bad", "broken")])
    lease = claim("pb", 10).leases[0]
    assert [i.input for i in lease.items] == [i.key for i in lease.items]
    report(lease.token, [success(i.id, [i.key]) for i in lease.items])
    assert (audit(job.pk)["ok"], audit(job.pk)["count_drift"]) == (True, 0)
    assert len(items(job.pk, state="open")) == 30
    assert len(items(job.pk, state="failed")) == 1
    assert len(items(job.pk, state="succeeded")) == 9
    assert len(items(job.pk, state="skipped", stage="b")) == 1
    assert dict(outputs(job.pk))["3"] == ["3"]
    assert [e["kind"] for e in events(job.pk)] == ["started", "claimed"]
    assert log(job.pk, "hello")
    assert logs(job.pk)[-1]["message"] == "hello"
    assert why(job.pk)["reasons"]
