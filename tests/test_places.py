"""The places of joblot's files: defined once, absolute."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from joblot import places
from joblot.errors import Unavailable


def test_what_the_environment_names_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    monkeypatch.setenv("JOBLOT_TOKEN_FILE", "../token")
    monkeypatch.setenv("JOBLOT_DATABASE_URL", "sqlite:///a%20b/j.sqlite3?timeout=3")
    places.make_environment_absolute()
    assert os.environ["JOBLOT_DATABASE_URL"] == f"sqlite:///{tmp_path}/a%20b/j.sqlite3?timeout=3"
    monkeypatch.chdir("/")
    assert places.data_folder() == tmp_path / "data" / "joblot"
    assert os.environ["JOBLOT_TOKEN_FILE"] == f"{tmp_path}/../token"
    before = dict(os.environ)
    places.make_environment_absolute()
    assert dict(os.environ) == before, "once"


@pytest.mark.parametrize(
    "url", ["postgresql://me@h/db?host=run", "sqlite:////a/b", "sqlite:///:memory:", "sqlite://h/x"]
)
def test_what_is_no_relative_file_stays(url: str) -> None:
    assert places.absolute_url(url) == url


def test_a_user_without_a_home_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(Unavailable, match="--db"):
        places.data_folder()
