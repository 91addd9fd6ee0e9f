"""The token of a lease: a right that can't be guessed, and a neighbour of the one before it."""

from __future__ import annotations

import time
from uuid import UUID

from joblot.ledger.rows.lease import new_token
from joblot.ledger.submit.submit import submit
from tests.ledger import worker


def test_tokens_are_in_the_order_of_their_milliseconds():
    before = time.time_ns() // 1_000_000
    tokens = [new_token() for _ in range(2_000)]
    after = time.time_ns() // 1_000_000
    moments = [token.int >> 80 for token in tokens]
    assert moments == sorted(moments)
    assert before <= moments[0] <= moments[-1] <= after


def test_a_token_is_a_uuid_of_version_7_whose_other_bits_are_random():
    tokens = [new_token() for _ in range(2_000)]
    assert {(token.version, token.variant) for token in tokens} == {(7, "specified in RFC 4122")}
    chance = [((token.int >> 64 & 0xFFF) << 62) | token.int & (1 << 62) - 1 for token in tokens]
    for bit in range(74):
        assert 800 < sum(one >> bit & 1 for one in chance) < 1_200, f"bit {bit}"


def test_a_claim_makes_such_a_token(ledger_db: str) -> None:
    submit("one", ["a", "b"], pipeline="p")
    first, second = (UUID(worker.lease(limit=1).token) for _ in range(2))
    assert (first.version, second.version) == (7, 7)
    assert first.int >> 80 <= second.int >> 80
