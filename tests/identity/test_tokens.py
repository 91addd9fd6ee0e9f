"""Tokens: shown once, stored hashed, limited."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import OperationalError, connections

from joblot.errors import InvalidInput, NotAuthenticated, NotFound, TooManyRequests
from joblot.identity import rate
from joblot.identity.caller import Scope
from joblot.identity.tokens import authenticate, issue, revoke, tokens
from joblot.models import Token


def test_a_token_is_known_by_its_text_alone(
    ledger_db: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, info = issue("gpu", ["work"], projects=["alps"], in_flight_items_max=64)
    caller = authenticate(secret)
    assert (caller.name, caller.scopes) == ("gpu", frozenset([Scope.WORK]))
    assert caller.projects == frozenset(["alps"])
    assert caller.in_flight_items_max == 64
    row = Token.objects.using(ledger_db).get()
    kept = " ".join(str(getattr(row, field.attname)) for field in Token._meta.fields)
    private = secret.rpartition("_")[2] if "_" not in secret[20:] else secret[20:]
    assert private not in kept
    assert private not in str(tokens())
    assert private not in caplog.text
    (found,) = tokens()
    assert found | {"last_used_at": None} == info


def test_a_token_says_when_it_was_last_used(ledger_db: str, configure, clock) -> None:
    secret, info = issue("gpu", ["work"])
    assert info["last_used_at"] is None
    clock.forward(1)
    authenticate(secret)
    (first,) = tokens()
    assert first["last_used_at"] > first["created_at"]
    authenticate(secret)
    assert tokens() == [first], "it is not written each time"
    configure(token_used_seconds=1e-9)
    clock.forward(1)
    authenticate(secret)
    assert tokens()[0]["last_used_at"] > first["last_used_at"]


def test_a_use_that_cannot_be_recorded_is_harmless(ledger_db: str, configure, caplog) -> None:
    configure(token_used_seconds=1e-9)  # a token of an earlier test may have had the same number
    secret, _ = issue("gpu", ["work"])

    def breaks(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE"):
            raise OperationalError("no room")
        return execute(sql, params, many, context)

    with connections[ledger_db].execute_wrapper(breaks):
        assert authenticate(secret).name == "gpu"
    assert "could not be recorded" in caplog.text


def test_another_secret_behind_the_same_id_is_refused(ledger_db: str) -> None:
    secret, _ = issue("gpu", ["work"])
    other = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    with pytest.raises(NotAuthenticated):
        authenticate(other)


def test_a_token_ends_at_its_time(ledger_db: str, clock) -> None:
    secret, _ = issue("gpu", ["work"], expires_in_seconds=60)
    clock.forward(61)
    with pytest.raises(NotAuthenticated):
        authenticate(secret)


def test_a_token_is_revoked_once(ledger_db: str) -> None:
    secret, info = issue("gpu", ["work"])
    first = revoke(info["id"])
    assert revoke(info["id"]) == first, "the time stays that of the first"
    with pytest.raises(NotAuthenticated):
        authenticate(secret)
    with pytest.raises(NotFound):
        revoke("000000000000")


@pytest.mark.parametrize(
    "rights",
    [
        {"scopes": []},
        {"scopes": ["root"]},
        {"scopes": ["work"], "projects": []},
        {"scopes": ["work"], "projects": ["a" * 300]},
        {"scopes": ["work"], "pipelines": ["x\x00"]},
        {"scopes": ["work"], "expires_in_seconds": 0},
        {"scopes": ["work"], "in_flight_items_max": 0},
    ],
)
def test_rights_that_can_not_be_right(ledger_db: str, rights: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        issue("x", **rights)
    assert tokens() == []


def test_a_token_may_ask_so_often_and_no_more(ledger_db: str, monkeypatch) -> None:
    secret, _ = issue("eager", ["read"], requests_per_minute_max=3)
    caller = authenticate(secret)
    now = [1_000.0]
    monkeypatch.setattr(rate, "_buckets", {})
    monkeypatch.setattr("joblot.identity.rate.time.monotonic", lambda: now[0])
    for _ in range(3):
        rate.spend(caller)
    with pytest.raises(TooManyRequests) as refused:
        rate.spend(caller)
    assert refused.value.retry_after_seconds == pytest.approx(20)
    now[0] += 20
    rate.spend(caller)
    with pytest.raises(TooManyRequests):
        rate.spend(caller)
