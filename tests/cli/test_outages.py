"""A command that follows a job outlasts a short outage, and says so."""

from __future__ import annotations

import pytest

from joblot.cli import outages
from joblot.cli.outages import OutageRetry
from joblot.errors import NotFound, Unavailable


class Source:
    """Answers, or raises, one after the other."""

    def __init__(self, *given: int | Exception) -> None:
        self._given = list(given)

    def __call__(self) -> int:
        one = self._given.pop(0)
        if isinstance(one, Exception):
            raise one
        return one


def test_an_outage_is_outlasted_and_said_once(capsys: pytest.CaptureFixture[str]):
    retrying, source = OutageRetry(0.001), Source(1, Unavailable("gone"), Unavailable("gone"), 2, 3)
    assert [retrying(source) for _ in range(3)] == [1, 2, 3]
    assert capsys.readouterr().err == "not live, trying again: gone\nlive again\n"


def test_the_first_call_and_a_refusal_are_errors_at_once():
    with pytest.raises(Unavailable):
        OutageRetry(0.001)(Source(Unavailable("no such host"), 1))
    retrying, source = OutageRetry(0.001), Source(1, NotFound("deleted"))
    assert retrying(source) == 1
    with pytest.raises(NotFound):
        retrying(source)


def test_a_long_outage_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outages, "AWAY_SECONDS_MAX", 0.0)
    retrying, source = OutageRetry(0.001), Source(1, Unavailable("gone"), 2)
    assert retrying(source) == 1
    with pytest.raises(Unavailable):
        retrying(source)
