"""The answer of the audit."""

from __future__ import annotations

import json

from joblot import claim, report, submit
from joblot.ledger.read.audit import audit
from joblot.wire import success


def test_the_audit_answers_in_json(ledger_db):
    job = submit("audited", ["a", "b"], pipeline="see")
    (lease,) = claim("see", 1).leases
    report(lease.token, [success(lease.items[0].id)])
    answer = audit(job.pk)
    assert json.loads(json.dumps(answer)) == answer
