"""Files and folders that only their owner may open, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from joblot import private
from joblot.errors import Unavailable


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct, autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def no_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mode that is corrected after creation would be wrong for a moment."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"chmod{args}")

    for name in ("chmod", "fchmod", "lchmod"):
        monkeypatch.setattr(os, name, refuse, raising=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_folder_and_the_parents_that_lack_are_private(tmp_path: Path) -> None:
    before = mode(tmp_path)
    private.make_folder(tmp_path / "a" / "b" / "c")
    private.make_folder(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert mode(tmp_path) == before


def test_a_folder_where_a_file_is_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match="a"):
        private.make_folder(tmp_path / "a")


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert private.make_file(path)
    path.write_bytes(b"x")
    assert not private.make_file(path)
    assert (path.read_bytes(), mode(path)) == (b"x", 0o600)


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    private.write_file(path, b"first")
    assert (private.read_file(path), mode(path)) == (b"first", 0o600)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        private.write_file(path, b"second")
    assert private.read_file(path) == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("bit", [0o040, 0o020, 0o004, 0o002])
def test_a_file_that_others_may_open_is_not_read(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "a"
    os.umask(0)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600 | bit))
    assert private.is_wide(path)
    with pytest.raises(Unavailable, match="expected 0600"):
        private.read_file(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    private.write_file(tmp_path / "a", b"x")
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(OSError, match="link"):
        private.read_file(tmp_path / "link")


def test_what_belongs_to_somebody_else_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private.write_file(tmp_path / "a", b"x")
    folder = private.make_folder(tmp_path / "b")
    private.require_folder(folder)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(Unavailable, match="belongs to user"):
        private.read_file(tmp_path / "a")
    with pytest.raises(Unavailable, match="belongs to user"):
        private.require_folder(folder)
