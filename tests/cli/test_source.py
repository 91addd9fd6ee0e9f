"""Items from files and from file names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from joblot.cli.source import Source
from joblot.errors import InvalidInput


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes("\ufeffone\n\ufefftwo\n".encode())
    assert list(Source(lines=str(path)).entries()) == ["one", "\ufefftwo"]
    path.write_bytes('\ufeff{"key": "a", "payload": 1}\n'.encode())
    assert list(Source(jsonl=str(path)).entries()) == [{"key": "a", "payload": 1}]


def test_a_file_name_that_is_not_utf8_is_refused_before_there_is_a_job(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")
    Path(name).touch()
    with pytest.raises(InvalidInput, match=r"caf\\xe9\.txt: expected a file name in UTF-8"):
        Source([name]).check(needed=True)
    with pytest.raises(InvalidInput, match=r"caf\\xe9\.txt: expected a file name in UTF-8"):
        Source([f"{tmp_path}/*.txt"]).check(needed=True)


def test_a_device_is_a_file_of_items_and_a_folder_is_not(tmp_path: Path) -> None:
    source = Source(lines="/dev/null")
    source.check(needed=True)
    assert list(source.entries()) == []
    with pytest.raises(InvalidInput, match="is a folder, expected a file"):
        Source(lines=str(tmp_path)).check(needed=True)
    with pytest.raises(InvalidInput, match="there is no file"):
        Source(lines=str(tmp_path / "none")).check(needed=True)
