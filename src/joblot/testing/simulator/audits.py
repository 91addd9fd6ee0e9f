"""The full audit: every row of every job, against the model and a second recount."""

from __future__ import annotations

from joblot.canonical import result_hash
from joblot.ledger.db.transactions import alias
from joblot.ledger.read.audit import audit
from joblot.ledger.rows.outputs import referred_among, storage
from joblot.models import Lease as LeaseRow
from joblot.models import Outcome as OutcomeRow
from joblot.models import StoredOutput
from joblot.models import Uncounted as UncountedRow
from joblot.states import ItemState, JobStatus, LeaseState
from joblot.testing.simulator import model, recount
from joblot.testing.simulator.world import Violation, World


def audit_all(world: World) -> None:
    """Raises Violation, or the AssertionError of the recount."""
    world.require(not world.adopter.wrong, "; ".join(world.adopter.wrong))
    world.figures["audits"] += 1
    world.story.append(f"{world.now:>5} s  (full audit)")
    files_are_there(world)
    for job_id, job in world.jobs.items():
        if not job.deleted:
            world.compare(job_id)
            _outcomes(world, job_id, job)
            _leases(world, job_id, job)
            _hooks(world, job_id, job)
            with world.at():
                recount.check(world.row(job_id), reconciled=not job.is_due)
                _own_audit(world, job_id, job)


def _outcomes(world: World, job_id: int, job: model.Job) -> None:
    """Invariants 2 and 8: items are settled as in the model, acknowledged ones still are."""
    rows = OutcomeRow.ledger.using(alias()).filter(job_id=job_id)
    found = {(s, n): state for s, n, state in rows.values_list("stage", "number", "state")}
    expected = {place: state for place, (state, _) in job.settled.items()}
    _same(world, job_id, "outcomes", found, expected)
    for known, stage, number in world.acknowledged:
        if known == job_id and found.get((stage, number)) != ItemState.SUCCEEDED:
            raise Violation(f"{world.name(job_id)} s{stage}: item {number} was counted, and is not")


def _leases(world: World, job_id: int, job: model.Job) -> None:
    """Half of invariant 7: every lease was claimed by an actor; closed leases stay closed.

    A cancel may leave the row of a lease that has settled all of its items as it is, until the
    items of the next run are reopened.
    """
    canceled = world.row(job_id).status == JobStatus.REVOKED or job.reopening is not None
    expected = {token: one.state is LeaseState.CLOSED for token, one in job.leases.items()}
    found = {}
    for lease in LeaseRow.ledger.using(alias()).filter(job_id=job_id):
        token, spent = str(lease.pk), lease.state == LeaseState.SPENT and not lease.gone
        either = canceled and spent and token in expected
        found[token] = expected[token] if either else lease.state == LeaseState.CLOSED
    _same(world, job_id, "leases, closed or not", found, expected)


def _hooks(world: World, job_id: int, job: model.Job) -> None:
    """Invariant 10: the adopter's rows exist exactly for counted and for late results."""
    good = {place for place, (state, _) in job.settled.items() if state is ItemState.SUCCEEDED}
    saved = {place for place in good if place[0] in job.hooked}
    _same(world, job_id, "rows that the hook saved", world.adopter.saved(job_id), saved)
    late = {one for one in job.late if one[1] in job.hooked}
    _same(world, job_id, "late rows that the hook saved", world.adopter.late(job_id), late)


def _own_audit(world: World, job_id: int, job: model.Job) -> None:
    """The ledger's own audit; a finish that is due but not reconciled yet is not a fault."""
    broken = [check for check in audit(job_id)["checks"] if not check["ok"]]
    if broken:
        raise Violation(f"{world.name(job_id)}: the audit says {broken}")


def events_are_delivered(world: World) -> None:
    """At rest: every end was delivered to the handler, and nothing else was."""
    for job_id, job in world.jobs.items():
        if job.deleted:
            continue
        received = world.adopter.received(job_id)
        finished = {run for run, _, kind in received if kind == "finished"}
        _same(world, job_id, "finishes received", len(finished), job.events.count("finished"))
        amended = [one for one in received if one[2] == "amended"]
        _same(world, job_id, "amendments received", len(amended), job.events.count("amended"))
        _same(world, job_id, "events mailed", world.adopter.mailed(job_id), len(received))


def files_are_there(world: World) -> None:
    """No referenced output is lost."""
    for table in (OutcomeRow, UncountedRow):
        refs = table.ledger.using(alias()).filter(output_ref__isnull=False)
        for ref, digest in refs.values_list("output_ref", "hash"):
            with storage().open(ref) as stored:
                if result_hash(stored.read().decode()) != bytes(digest):
                    raise Violation(f"{ref}: the file is not what was reported")


def no_file_is_left(world: World) -> None:
    """No unreferenced file is stored; every stored file has its row."""
    names = set(StoredOutput.ledger.using(alias()).values_list("name", flat=True))
    left = names - referred_among(names)
    if left or not all(storage().exists(name) for name in names):
        raise Violation(f"unreferenced files: {len(left)} of {len(names)}")


def _same(world: World, job_id: int, what: str, found: object, expected: object) -> None:
    if found != expected:
        text = f"{world.name(job_id)}: {what}: expected {expected!s:.400}, found {found!s:.400}"
        raise Violation(text)
