"""The full audit: every row of every job, against the model and a second recount."""

from __future__ import annotations

from joblot.ledger.db.transactions import alias
from joblot.ledger.read.audit import audit
from joblot.ledger.rows.outputs import referred_among, storage
from joblot.models import Lease as LeaseRow
from joblot.models import Outcome as OutcomeRow
from joblot.models import StoredOutput
from joblot.models import Uncounted as UncountedRow
from joblot.states import ItemState, LeaseState
from joblot.testing.simulator import model, recount
from joblot.testing.simulator.world import Violation, World
from joblot.wire import result_hash


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
                recount.check(world.row(job_id), looked=not job.is_due)
                _own_audit(world, job_id, job)


def _outcomes(world: World, job_id: int, job: model.Job) -> None:
    """Invariants 2 and 8: each is settled as the model says, and what was acknowledged still is."""
    rows = OutcomeRow.ledger.using(alias()).filter(job_id=job_id)
    found = {(s, n): state for s, n, state in rows.values_list("stage", "number", "state")}
    expected = {place: state for place, (state, _) in job.settled.items()}
    _same(world, job_id, "outcomes", found, expected)
    for known, stage, number in world.acknowledged:
        if known == job_id and found.get((stage, number)) != ItemState.SUCCEEDED:
            raise Violation(f"{world.name(job_id)} s{stage}: item {number} was counted, and is not")


def _leases(world: World, job_id: int, job: model.Job) -> None:
    """Invariant 7, one half: there is no lease that nobody claimed; closed ones stay closed."""
    rows = LeaseRow.ledger.using(alias()).filter(job_id=job_id)
    found = {
        str(token): state == LeaseState.CLOSED for token, state in rows.values_list("pk", "state")
    }
    expected = {token: one.state is LeaseState.CLOSED for token, one in job.leases.items()}
    _same(world, job_id, "leases, closed or not", found, expected)


def _hooks(world: World, job_id: int, job: model.Job) -> None:
    """Invariant 10: the adopter's rows exist exactly for what is counted, and what came late."""
    good = {place for place, (state, _) in job.settled.items() if state is ItemState.SUCCEEDED}
    saved = {place for place in good if place[0] in job.hooked}
    _same(world, job_id, "rows that the hook saved", world.adopter.saved(job_id), saved)
    late = {one for one in job.late if one[1] in job.hooked}
    _same(world, job_id, "late rows that the hook saved", world.adopter.late(job_id), late)


def _own_audit(world: World, job_id: int, job: model.Job) -> None:
    """What the ledger's own audit says; a finish that nobody has looked for is not a fault."""
    broken = [check for check in audit(job_id)["checks"] if not check["ok"]]
    if broken:
        raise Violation(f"{world.name(job_id)}: the audit says {broken}")


def events_are_told(world: World) -> None:
    """At rest: every end has been told to the handler, and nothing else has."""
    for job_id, job in world.jobs.items():
        if job.deleted:
            continue
        told = world.adopter.told(job_id)
        finished = {run for run, _, kind in told if kind == "finished"}
        _same(world, job_id, "finishes told", len(finished), job.events.count("finished"))
        amended = [one for one in told if one[2] == "amended"]
        _same(world, job_id, "amendments told", len(amended), job.events.count("amended"))
        _same(world, job_id, "events mailed", world.adopter.mailed(job_id), len(told))


def files_are_there(world: World) -> None:
    """No output that something refers to is lost."""
    for table in (OutcomeRow, UncountedRow):
        refs = table.ledger.using(alias()).filter(output_ref__isnull=False)
        for ref, digest in refs.values_list("output_ref", "hash"):
            with storage().open(ref) as stored:
                if result_hash(stored.read().decode()) != bytes(digest):
                    raise Violation(f"{ref}: the file is not what was reported")


def no_file_is_left(world: World) -> None:
    """Nothing is stored that nothing refers to. What is there at all, is by its row."""
    names = set(StoredOutput.ledger.using(alias()).values_list("name", flat=True))
    left = names - referred_among(names)
    if left or not all(storage().exists(name) for name in names):
        raise Violation(f"files that nothing refers to: {len(left)} of {len(names)}")


def _same(world: World, job_id: int, what: str, found: object, expected: object) -> None:
    if found != expected:
        text = f"{world.name(job_id)}: {what}: expected {expected!s:.400}, found {found!s:.400}"
        raise Violation(text)
