"""Report, and claim the next lease for the same worker: in one round trip if the database can.

The claim never costs a receipt: whatever becomes of it, the results are settled as without it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, overload
from uuid import UUID

from django.db import DatabaseError

from joblot import telemetry
from joblot.config import limits
from joblot.errors import JoblotError, Unavailable
from joblot.ledger.claim import by_function, candidates
from joblot.ledger.claim.claim import Asked, claimed
from joblot.ledger.claim.grant import Taken
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import brief, connection, repeated
from joblot.ledger.lease import release
from joblot.ledger.report import hooks
from joblot.ledger.report.at_once import goes_in_parts, settle_at_once
from joblot.ledger.report.pending_result import Columns, PendingResult, columns_of
from joblot.ledger.report.report import report_by
from joblot.ledger.report.write import Settled, counted
from joblot.ledger.rows.lease import new_token
from joblot.ledger.rows.wake import note_passed_on
from joblot.wire import Claim, ItemReceipt, NextClaim, Reported, Result

logger = logging.getLogger("joblot.ledger")

Results = Iterable[Result | Mapping[str, Any]]


@overload
def report(token: str | UUID, results: Results) -> list[ItemReceipt]: ...
@overload
def report(token: str | UUID, results: Results, *, claim_next: NextClaim) -> Reported: ...
def report(
    token: str | UUID, results: Results, *, claim_next: NextClaim | None = None
) -> list[ItemReceipt] | Reported:
    """Report results of the items of a lease; returns one receipt each, in the same order.

    When it returns, everything it says is committed. It may be called again with the same
    results at any time: what was counted is then a `duplicate`. A bad result is `rejected` and
    harms no other. With `claim_next` it also claims, as `claim` does with these arguments, and
    returns a Reported: the receipts, and the claim or why it was refused. The claim takes no
    receipt away. With an idempotency key, a repeated call returns the same lease.

    Raises InvalidResult for more than `results_per_report_max` results, WorkerRevoked if the
    lease's worker was revoked, Unavailable when the database can't be used (its message says how
    many results are known to be recorded; report all of them again), NotDurable inside a
    transaction.
    """
    if claim_next is None:
        return report_by(settle_at_once, token, results)
    return report_and_claim(token, results, claim_next)


def report_and_claim(
    token: str | UUID, results: Results, claim_next: NextClaim, *, shared: bool = False
) -> Reported:
    """As `report` with `claim_next`.

    With `shared`, a claim that is not part of the report's call shares its statement with other
    claims of this process.
    """
    ahead = _Ahead(claim_next, shared=shared)
    try:
        receipts = report_by(ahead.settle_at_once, token, results)
    except BaseException:
        ahead.give_back()
        raise
    try:
        return Reported(receipts, ahead.answer())
    except JoblotError as error:
        return Reported(receipts, claim_error=error)
    except DatabaseError as error:
        logger.warning("results were reported, the next claim failed", exc_info=True)
        failed = Unavailable(f"the claim failed: {brief(error)}; claim again later")
        return Reported(receipts, claim_error=failed)


class _Ahead:
    """A claim that is made together with a report, if that is one call and a candidate is known."""

    def __init__(self, given: NextClaim, *, shared: bool = False) -> None:
        self._shared = shared  # with the other claims of this process
        self._refused: JoblotError | None = None
        self._asked: Asked | None = None
        self._taken: Taken | None = None
        try:
            self._asked = Asked.of(given)
        except JoblotError as error:  # an answer to the claim only
            self._refused = error

    def settle_at_once(self, token: UUID, pending: Sequence[PendingResult]) -> Settled | None:
        """As the function of this name, and claim with it, unless a lease was granted already."""
        walks = [] if self._taken or goes_in_parts(token) else self._walks()
        if self._asked is None or not walks:
            return settle_at_once(token, pending)
        columns = columns_of(pending)
        row = _report_and_claim(token, columns, self._asked, walks)
        (job_id, settled, has_hook, due), lease, claim = row[:4], row[4], row[5:]
        if has_hook:
            return settle_at_once(token, pending)
        if job_id is None:
            return None
        note_passed_on(job_id)
        if claim[0] != "failed":
            self._taken = by_function.taken_of(claim, walks, lease)
        return counted(columns["numbers"] if settled else (), job_id if due else None)

    @telemetry.verb("claim", spans=False)
    def answer(self) -> Claim:
        """The answer to the claim, which is made now if it was not granted. Raises as `claim`."""
        if self._refused is not None:
            raise self._refused
        assert self._asked is not None
        granted = self._taken.grant if self._taken else None
        return claimed(self._asked, granted, shared=self._shared)

    def give_back(self) -> None:
        """The report failed, and its caller will not learn of the lease; it would expire."""
        if self._taken and (grant := self._taken.grant):
            with suppress(JoblotError):
                release(grant.token)

    def _walks(self) -> by_function.Walks:
        """Where to search, by the cached candidates; nowhere if they are stale."""
        if self._asked is None:
            return []
        cache = candidates.cache_for(self._asked.wanted)
        known = cache.fresh()
        if known is None:
            return []
        best = islice(known.in_order(cache.take_turn()), limits().claim_stages_batch)
        return by_function.walks_of(list(best))


@repeated
def _report_and_claim(
    token: UUID, columns: Columns, asked: Asked, walks: by_function.Walks
) -> tuple[Any, ...]:
    """The columns of the report, the token that a lease would have, those of the claim."""
    lease = new_token()
    (row,) = fetch(
        connection(),
        "claim/report_and_claim",
        clock=None,
        token=token,
        hooked=hooks.hooked_pipelines() or None,
        lease=lease,
        **columns,
        **by_function.params(walks, asked.limit, asked.holder),
    )
    return (*row[:4], lease, *row[4:])
