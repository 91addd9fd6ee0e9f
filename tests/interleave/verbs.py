"""The ledger's verbs, each with the scenes in which it has something to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, combinations_with_replacement
from typing import Any
from uuid import UUID

from joblot.canonical import result_hash
from joblot.fingerprint import cause_of
from joblot.ledger.claim import by_function
from joblot.ledger.claim.after_report import report
from joblot.ledger.claim.candidates import Wanted, cache_for
from joblot.ledger.claim.claim import claim
from joblot.ledger.claim.grant import Holder
from joblot.ledger.claim.take import take
from joblot.ledger.claim.together import GroupClaim, PendingClaim
from joblot.ledger.db.transactions import connection, repeated
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel, delete, end_cancel, pause, resume, start
from joblot.ledger.job.prune import prune
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.removal import go_on as go_on_removing
from joblot.ledger.job.retry import go_on_reopening, retry
from joblot.ledger.lease import expire_overdue, release, renew, renew_many
from joblot.ledger.maintain.delivery import deliver
from joblot.ledger.maintain.fold import fold
from joblot.ledger.maintain.merge import merge_ranges
from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.maintain.revocation import restore_worker, revoke_worker
from joblot.ledger.maintain.sample import sample
from joblot.ledger.report.known import settle_known
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.wire import Claim, NextClaim, success
from tests.interleave.scenes import KEY, SCENES, SECONDS, WORKER, Scene
from tests.ledger.worker import fail, keys, succeed

BAD = cause_of("Bad", "broken")  # of what `fail` reports
NULL_HASH = result_hash("null")
CLAIMED = ("p", "q")
ANY_AGE = timedelta(seconds=-1)  # also what has ended just now


@dataclass(frozen=True, slots=True)
class Verb:
    """`scenes`: where it has an effect; the first is used with verbs that share none."""

    scenes: str
    act: Callable[[Scene], Any]


def live(scene: Scene) -> Any:
    assert scene.live
    return scene.live


def expired(scene: Scene) -> Any:
    assert scene.expired
    return scene.expired


def renew_both(scene: Scene) -> int:
    return renew_many([UUID(lease.token) for lease in (live(scene), expired(scene))], 5000)


def claims(scene: Scene) -> list[list[int]]:
    """Two claims in one statement and one commit, where there are functions; else in two."""
    wanted = Wanted.of(CLAIMED, None, None)
    asked = list(cache_for(wanted).read(wanted).in_order(0))
    if connection().vendor != "postgresql" or not asked:
        return [numbers_of(claim(CLAIMED, 1)) for _ in range(2)]
    walks, group = by_function.walks_of(asked), GroupClaim()
    both = [
        PendingClaim(walks, by_function.params(walks, 1, Holder(f"{WORKER} {n}"))) for n in range(2)
    ]
    for one in both:
        group.join(one)
    repeated(group.lead)()
    taken = [by_function.taken_of(one.row, walks, one.token) for one in both if one.row]
    return [[item.number for item in one.grant.items] for one in taken if one and one.grant]


def numbers_of(answer: Claim) -> list[int]:
    return [item.id for lease in answer.leases for item in lease.items]


def report_and_claim(scene: Scene) -> list[str]:
    """Report what is held and claim the next lease, in one call, since a candidate is known."""
    wanted = Wanted.of(CLAIMED, None, None)
    cache_for(wanted).read(wanted)
    results = [success(item.id) for item in live(scene).items]
    answer = report(live(scene).token, results, claim_next=NextClaim(CLAIMED, 2))
    return [one.receipt.value for one in answer.receipts]


def known(scene: Scene) -> list[int]:
    """Item 0, which a worker may hold, is known to have succeeded elsewhere."""
    elsewhere = [PendingResult(success(0), "null", NULL_HASH)]
    return sorted(settle_known(scene.job.pk, 0, elsewhere))


def submit_again(items: list[str], **other: Any) -> Any:
    """Submit `filling` again, with all of its items, and with `other` arguments if given."""
    return submit("explored", items, pipeline="p", idempotency_key=KEY, **other)


VERBS: dict[str, Verb] = {
    # a producer
    "submit": Verb("filling deleted", lambda s: submit_again(keys(3))),
    "submit_other": Verb("filling", lambda s: submit_again(keys(3), config="other")),
    "add_items": Verb("filling paused deleted", lambda s: add_items(s.job.pk, keys(4))),
    "seal": Verb("filling paused", lambda s: seal(s.job.pk)),
    # an operator
    "start": Verb("retrying created", lambda s: start(s.job.pk)),
    "pause": Verb("running filling last failing", lambda s: pause(s.job.pk)),
    "resume": Verb("paused", lambda s: resume(s.job.pk)),
    "cancel": Verb(
        "running filling last staged created paused canceling retrying failing",
        lambda s: cancel(s.job.pk, grace_seconds=0),
    ),
    "retry": Verb("failed retrying deleted", lambda s: retry(s.job.pk)),
    "retry_cause": Verb(
        "failed retrying deleted failing", lambda s: retry(s.job.pk, cause=BAD, expected=1)
    ),
    "retry_failed": Verb("failing", lambda s: retry(s.job.pk, failed=True)),
    "delete": Verb(
        "failed running last filling canceling retrying deleted failing", lambda s: delete(s.job.pk)
    ),
    "edit": Verb(
        "running paused filling canceling retrying failed deleted failing",
        lambda s: edit(s.job.pk, policy={"failures_max": 7}),
    ),
    "revoke": Verb("running last", lambda s: revoke_worker(0, WORKER)),
    "restore": Verb("running last", lambda s: restore_worker(0, WORKER)),
    # a worker
    "claim": Verb("running filling staged failing", lambda s: claim(["p", "q"], 2)),
    "claims": Verb("running filling staged failing", claims),
    "renew": Verb("running last canceling deleted", lambda s: renew(live(s).token, 5000)),
    "renew_many": Verb("running last canceling", renew_both),
    "take": Verb("running last canceling", lambda s: take(live(s).token, WORKER, worker="taker")),
    "release": Verb("running last canceling", lambda s: release(live(s).token)),
    "report": Verb(
        "last running filling staged canceling paused deleted failed failing",
        lambda s: succeed(live(s)),
    ),
    "report_and_claim": Verb("last running staged canceling paused", report_and_claim),
    "fail": Verb("last staged deleted failing", lambda s: fail(live(s))),
    "requeue": Verb("last running failing", lambda s: fail(live(s), retryable=True)),
    "amend": Verb("failed last running staged deleted failing", lambda s: succeed(expired(s))),
    # an import
    "known": Verb("running last staged filling paused", known),
    # the clock
    "expire": Verb("last running staged filling canceling failing", lambda s: expire_overdue()),
    "reconcile": Verb("last failed canceling deleted failing", lambda s: reconcile(s.job.pk)),
    "end_cancel": Verb("canceling", lambda s: end_cancel(s.job.pk)),
    "reopen": Verb("retrying", lambda s: go_on_reopening(s.job.pk)),
    "fold": Verb("failed deleted", lambda s: fold(s.job.pk)),
    "merge": Verb("running failing", lambda s: merge_ranges()),
    "prune": Verb("failed last canceling deleted", lambda s: prune(ANY_AGE)),
    "remove": Verb("deleted", lambda s: go_on_removing(SECONDS)),
    "sample": Verb("running deleted failing", lambda s: sample()),
    "fan_out": Verb("failed deleted", lambda s: fan_out()),
    "deliver": Verb("failed deleted", lambda s: (fan_out(), deliver())),
    "log": Verb("failed deleted", lambda s: log(s.job.pk, "a line")),
}


def scenes_shared(*verbs: str) -> list[str]:
    """The scenes in which all of them have something to do."""
    return [s for s in SCENES if all(s in VERBS[verb].scenes.split() for verb in verbs)]


def scenes_first(*verbs: str) -> list[str]:
    return sorted({VERBS[verb].scenes.split()[0] for verb in verbs})


def pairs() -> list[tuple[str, str, str]]:
    """(scene, verb, verb) for every pair of verbs, also of a verb with itself."""
    return [
        (scene, *pair)
        for pair in combinations_with_replacement(VERBS, 2)
        for scene in scenes_shared(*pair) or scenes_first(*pair)
    ]


def likely_pairs() -> list[tuple[str, str, str]]:
    """Every pair of verbs that share a scene, in the first such scene."""
    shared = {pair: scenes_shared(*pair) for pair in combinations_with_replacement(VERBS, 2)}
    return [(scenes[0], *pair) for pair, scenes in shared.items() if scenes]


def triples(scene: str) -> list[tuple[str, str, str]]:
    """Every three different verbs that have something to do in this scene."""
    here = [name for name, verb in VERBS.items() if scene in verb.scenes.split()]
    return list(combinations(here, 3))
