"""Group claims: claims that meet in a process share one statement and one commit.

While one statement is in flight, the claims that arrive wait for the next one, which takes all of
them: so clients that long polling has woken together are granted their leases together. Each is
refused or granted as by itself, and sees what those before it have taken. If the shared statement
fails, each of its claims is made alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from joblot.config import limits
from joblot.errors import JoblotError
from joblot.ledger.claim import by_function
from joblot.ledger.claim.candidates import Candidate
from joblot.ledger.claim.grant import Holder, Taken
from joblot.ledger.claim.group import Group, Groups, Member
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.rows.lease import new_token

logger = logging.getLogger("joblot.ledger")

OF_WALKS = ("jobs", "stages", "afters", "wanted")  # parameters with a value for each stage


def take(asked: Sequence[Candidate], limit: int, holder: Holder) -> Taken | None:
    """As `by_function.take`, together with other claims of this process."""
    walks = by_function.walks_of(asked)
    mine = PendingClaim(walks, by_function.params(walks, limit, holder))
    _groups.of(alias()).make(mine)
    if mine.row is None or mine.row[0] == by_function.ALONE:
        return by_function.take(asked, limit, holder, wait=False)
    return by_function.taken_of(mine.row, walks, mine.token)


@dataclass(slots=True, eq=False)
class PendingClaim(Member):
    """A claim that waits to be made.

    It has no `row` if it is to be made alone, because the shared statement failed.
    """

    walks: by_function.Walks
    params: dict[str, Any]
    token: UUID = field(default_factory=new_token)
    row: Sequence[Any] | None = None


class GroupClaim(Group[PendingClaim]):
    """The claims of this process from one database."""

    def make(self, mine: PendingClaim) -> None:
        """Make it with others; returns once it has its row, or is to be made alone."""
        self.join(mine)
        if self._is_to_lead(mine):
            self.lead()

    def join(self, mine: PendingClaim) -> None:
        """Wait for the next statement; the claim that `leads` makes it."""
        self._enter(mine)

    def lead(self) -> None:
        """Make the claims that wait, this thread's own included, and let the next one lead."""
        with self._lock:
            most = limits().claims_shared_max
            batch, self._waiting = self._waiting[:most], self._waiting[most:]
        try:
            _make(batch)
        finally:
            self._hand_over(batch)


def _make(batch: Sequence[PendingClaim]) -> None:
    try:
        for one, row in zip(batch, _rows(batch), strict=True):
            one.row = row
    except (JoblotError, DatabaseError) as error:
        logger.debug("%d claims are made alone: %s", len(batch), error)


def _rows(batch: Sequence[PendingClaim]) -> list[tuple[Any, ...]]:
    if len(batch) == 1:
        (one,) = batch
        own = {"lock_wait": None, "token": one.token, **one.params}
        return fetch(connection(), "claim/claim", clock=None, **own)
    ends = list(accumulate(len(one.walks) for one in batch))
    return fetch(
        connection(),
        "claim/claim_together",
        clock=None,
        **{name: [value for one in batch for value in one.params[name]] for name in OF_WALKS},
        firsts=[end - len(one.walks) + 1 for one, end in zip(batch, ends, strict=True)],
        ends=ends,
        tokens=[one.token for one in batch],
        workers=[one.params["worker"] for one in batch],
        owners=_array(one.params["owner"] for one in batch),
        owners_items_max=_array(one.params["owner_items_max"] for one in batch),
        keys=[one.params["key"] for one in batch],
        askeds=[one.params["asked"] for one in batch],
    )


def _array(numbers: Iterable[int | None]) -> str:
    """As text, so that the prepared statement does not depend on the size of the numbers."""
    return f"{{{','.join('NULL' if one is None else str(one) for one in numbers)}}}"


_groups = Groups(GroupClaim)  # Threads: has a lock
