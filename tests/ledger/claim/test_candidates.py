"""The order of service: turns of projects, and priority and age within a project."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from django.test import override_settings

from joblot.errors import InvalidPolicy
from joblot.ledger.claim.candidates import Candidate, CandidatesCache, Snapshot
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import keys, status, succeed

CLAIM = 16  # items, so that ranges are used up without a remainder
WORKERS = 4


def snapshot(*weights: float) -> Snapshot:
    """A snapshot with one job each in projects with these weights."""
    names = [f"p{n}" for n in range(len(weights))]
    with override_settings(JOBLOT_PROJECT_WEIGHTS=dict(zip(names, weights, strict=True))):
        jobs = {name: [Candidate((n, 0), None, ready=True)] for n, name in enumerate(names)}
        return Snapshot.of(jobs, age=0, generation=0, read_at=0.0)


@pytest.mark.parametrize(
    "weights", [(1,), (1, 1), (3, 1), (1, 1, 1, 1, 1, 1), (10, 0.5, 3), (1,) * 50], ids=str
)
def test_any_stretch_of_claims_is_shared_by_weight_and_none_waits_long(
    weights: tuple[float, ...],
) -> None:
    random.seed(7)
    cache, known = CandidatesCache(), snapshot(*weights)
    claims = [next(known.in_order(cache.take_turn())).stage[0] for _ in range(4_000)]
    for project, weight in enumerate(weights):
        share = weight / sum(weights)
        turns = [n for n, job in enumerate(claims) if job == project]
        waits = [after - before for before, after in pairwise(turns)]
        assert max(waits, default=1) <= 3 / share
        for stretch in range(0, 4_000, 500):
            mine = sum(stretch <= turn < stretch + 500 for turn in turns)
            assert abs(mine - 500 * share) <= 4


def test_a_project_with_nothing_free_passes_its_turn_on() -> None:
    cache, known = CandidatesCache(), snapshot(1, 1, 1)
    for _ in range(20):
        order = [candidate.stage[0] for candidate in known.in_order(cache.take_turn())]
        assert sorted(order) == [0, 1, 2]


@pytest.mark.parametrize("weight", [0, -1, True, "2", float("nan"), float("inf"), None])
def test_a_weight_that_is_no_number_above_0_is_refused(weight: Any) -> None:
    with pytest.raises(InvalidPolicy, match=r"JOBLOT_PROJECT_WEIGHTS.*above 0"):
        snapshot(weight)


def test_of_50_jobs_against_one_the_one_gets_half_of_the_claims_until_it_is_done(
    ledger_db: str,
) -> None:
    for n in range(50):
        submit(f"a{n}", keys(10), pipeline="p", project="a")
    lone = submit("b", keys(150), pipeline="p", project="b")
    claims: list[bool] = []
    while claims.count(True) < 150:
        claims.append(worker.lease(limit=1).job == lone.pk)
        if len(claims) > 40:  # earlier, a single claim exceeds the bound
            assert 0.45 <= claims.count(True) / len(claims) <= 0.55
    assert len(claims) < 320


@override_settings(JOBLOT_PROJECT_WEIGHTS={"heavy": 3})
def test_a_project_gets_more_by_its_weight(ledger_db: str) -> None:
    for project in ("heavy", "light"):
        submit(project, keys(200), pipeline="p", project=project)
    claims = Counter(worker.lease(limit=1).job for _ in range(160))
    heavy = Job.objects.get(project="heavy")
    assert 118 <= claims[heavy.pk] <= 122


def claims_until_done(jobs: dict[int, Job], chance: random.Random) -> dict[int, int]:
    """By job, the number of all claims until it ended; four workers in random order."""
    held: dict[int, Any] = {}
    ended: dict[int, int] = {}
    claims = 0
    while len(ended) < len(jobs):
        who = chance.randrange(WORKERS)
        if (lease := held.pop(who, None)) is not None:
            succeed(lease)
            if status(jobs[lease.job]) == "SUCCESS":
                ended[lease.job] = claims
        elif not worker.nothing_ready():
            held[who] = worker.lease(limit=CLAIM)
            claims += 1
    return ended


def claims_of(job: Job) -> int:
    return -(-job.total // CLAIM)


def in_one_project(job: Job, jobs: list[Job]) -> int:
    """The older jobs come first, plus the claims of the other workers meanwhile."""
    older = sum(claims_of(other) for other in jobs if other.pk < job.pk)
    return older + claims_of(job) + 2 * WORKERS


def in_a_project_each(job: Job, jobs: list[Job]) -> int:
    """Each project has a turn in every round of claims; its first comes within two rounds."""
    return len(jobs) * (claims_of(job) + 2) + 2 * WORKERS


@pytest.mark.parametrize(
    ("project", "bound"),
    [(lambda n: "one", in_one_project), (lambda n: f"of {n}", in_a_project_each)],
    ids=["in one project", "in a project each"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_each_of_jobs_of_different_size_ends_within_its_bound(
    ledger_db: str, project: Callable[[int], str], bound: Callable[..., int], seed: int
) -> None:
    random.seed(seed)
    chance = random.Random(seed)
    sizes = chance.sample([10, 10, 100, 100, 500, 500], 6)
    jobs = [
        submit(f"of {size}", keys(size), pipeline="p", project=project(n))
        for n, size in enumerate(sizes)
    ]
    ended = claims_until_done({job.pk: job for job in jobs}, chance)
    late = {job.name: ended[job.pk] for job in jobs if ended[job.pk] > bound(job, jobs)}
    assert late == {}, f"seed {seed}, sizes {sizes}"


def test_a_step_of_priority_is_worth_so_much_age(
    ledger_db: str, clock: Any, configure: Callable[..., None]
) -> None:
    """However many urgent jobs arrive, an old one is served once it has waited long enough."""
    configure(priority_step_seconds=100)
    patient = submit("patient", keys(1), pipeline="p")
    clock.forward(5)
    served: list[int] = []
    while patient.pk not in served:
        submit("urgent", keys(1), pipeline="p", priority=5)
        served.append(worker.lease().job)
        clock.forward(10)
    assert len(served) == 51  # after 505 seconds


def test_priority_goes_before_age_inside_a_project(ledger_db: str) -> None:
    old = submit("old", keys(1), pipeline="p")
    new = submit("new", keys(1), pipeline="p")
    urgent = submit("urgent", keys(1), pipeline="p", priority=5)
    later = submit("later", keys(1), pipeline="p", priority=-5)
    assert [worker.lease().job for _ in range(4)] == [urgent.pk, old.pk, new.pk, later.pk]


@pytest.mark.parametrize("priority", [2**31 - 1, -(2**31 - 1)])
def test_any_priority_can_be_compared(ledger_db: str, priority: int) -> None:
    usual = submit("usual", keys(1), pipeline="p")
    other = submit("other", keys(1), pipeline="p", priority=priority)
    first, second = (other, usual) if priority > 0 else (usual, other)
    assert [worker.lease().job, worker.lease().job] == [first.pk, second.pk]


def test_the_later_stage_is_served_first_from_the_moment_it_has_items(ledger_db: str) -> None:
    submit("two stages", keys(4), stages=worker.TWO_STAGES)
    first = worker.lease(["p", "q"], limit=2)
    assert first.stage == "read"
    succeed(first)
    assert [worker.lease(["p", "q"]).stage for _ in range(2)] == ["save", "read"]


def test_only_the_projects_asked_for_are_served(ledger_db: str) -> None:
    for project in ("a", "b", "c"):
        submit(project, keys(1), pipeline="p", project=project)
    assert worker.nothing(projects=[])
    assert worker.nothing(projects=["d"])
    for _ in range(2):
        assert worker.lease(projects=["a", "c"]).job != Job.objects.get(project="b").pk
    assert worker.nothing(projects=["a", "c"])
    assert worker.lease().job == Job.objects.get(project="b").pk


def test_a_job_that_is_submitted_here_is_served_in_order_at_once(ledger_db: str) -> None:
    submit("large", keys(100), pipeline="p")
    worker.lease(limit=1)
    for n in range(3):
        urgent = submit(f"urgent {n}", keys(1), pipeline="p", priority=n + 1)
        assert worker.lease(limit=1).job == urgent.pk


def test_a_job_of_another_process_is_served_when_the_candidates_are_stale(
    ledger_db: str, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from joblot.ledger.rows import claimable

    configure(candidates_seconds=3_600)
    submit("large", keys(100), pipeline="p")
    worker.lease(limit=1)
    monkeypatch.setattr(claimable, "_advance", lambda: None)  # as if another process submitted
    urgent = submit("urgent", keys(1), pipeline="p", priority=1)
    assert worker.lease(limit=1).job != urgent.pk
    configure(candidates_seconds=1e-9)
    monkeypatch.undo()
    claimable.note_claimable()
    assert worker.lease(limit=1).job == urgent.pk


def test_work_of_another_process_is_found_when_no_candidate_is_left(
    ledger_db: str, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from joblot.ledger.rows import claimable

    configure(candidates_seconds=3_600)
    submit("first", keys(2), pipeline="p")
    worker.lease(limit=1)
    monkeypatch.setattr(claimable, "_advance", lambda: None)
    second = submit("second", keys(1), pipeline="p")
    worker.lease(limit=1)
    assert worker.lease(limit=1).job == second.pk


def test_many_small_jobs_are_all_found_though_the_candidates_are_stale(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    configure(candidates_seconds=3_600, claim_stages_batch=4)
    jobs = [submit(f"small {n}", keys(1), pipeline="p").pk for n in range(40)]
    assert [worker.lease().job for _ in jobs] == jobs
    assert worker.nothing()
