"""F11, F12, F14, F15: what comes in is odd; what is good of it is processed, once."""

from __future__ import annotations

import glob
import os
from itertools import islice
from pathlib import Path

import pytest

from joblot.cli.bad_entries import HOPELESS, checked, failing
from joblot.cli.source import BadEntry, Source
from joblot.errors import InvalidInput, InvalidItem
from joblot.ledger.submit.items import checked_item
from tests.api.conftest import Api, admin, api
from tests.cli.conftest import Joblot, joblot, make_joblot

__all__ = ["admin", "api", "joblot", "make_joblot"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _files(*names: str) -> list[object]:
    return list(islice(Source(list(names)).entries(), 1000))


def _good(*names: str) -> list[object]:
    return [entry for entry in _files(*names) if not isinstance(entry, BadEntry)]


class TestLinksToFolders:
    def test_a_link_to_the_folder_that_it_is_in(self, folder: Path):
        (folder / "lp").mkdir()
        (folder / "lp" / "a.jpg").touch()
        (folder / "lp" / "x").symlink_to(".")
        (folder / "lp" / "y").symlink_to("../lp")
        assert _files("lp/**/*.jpg") == ["lp/a.jpg"]

    def test_two_links_that_would_never_end(self, folder: Path):
        for name in ("a", "b", "c"):
            (folder / "lp" / name).mkdir(parents=True)
            (folder / "lp" / name / "file.jpg").touch()
            (folder / "lp" / name / "up").symlink_to("..")
            (folder / "lp" / name / "top").symlink_to(folder)
        assert _files("lp/**/*.jpg") == [f"lp/{name}/file.jpg" for name in "abc"]
        assert _files("**/*.jpg") == [f"lp/{name}/file.jpg" for name in "abc"]

    def test_a_folder_elsewhere_is_entered_once_through_its_links(self, folder: Path):
        (folder / "disk").mkdir()
        (folder / "disk" / "a.jpg").touch()
        (folder / "here" / "in").mkdir(parents=True)
        (folder / "here" / "in" / "b.jpg").touch()
        (folder / "here" / "1").symlink_to(folder / "disk")
        (folder / "here" / "2").symlink_to(folder / "disk")
        assert _files("here/**/*.jpg") == ["here/in/b.jpg", "here/1/a.jpg"]
        assert _files("here/**") == ["here/in/b.jpg", "here/1/a.jpg"]

    @pytest.mark.parametrize(
        "pattern",
        ["**/*.txt", "**", "a/**/c.txt", "**/b/**/*.txt", "[a]/**/*.txt", "a/**/.h/*.txt", "a/*/*"],
    )
    def test_without_links_it_is_what_a_shell_finds(self, folder: Path, pattern: str):
        for name in ("a/b/c.txt", "a/c.txt", "d[1]/b/e.txt", "a/.h/f.txt", "g.txt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        found = {one for one in glob.glob(pattern, recursive=True) if Path(one).is_file()}  # noqa: PTH207
        assert set(map(str, _files(pattern))) == found
        assert set(map(str, _files(f"{folder}/{pattern}"))) == {f"{folder}/{one}" for one in found}


class TestBadEntries:
    @pytest.fixture
    def mixed(self, folder: Path) -> Path:
        """A folder with two files, and everything that can't be an item."""
        mixed = folder / "mixed"
        (mixed / "folder").mkdir(parents=True)
        (mixed / "a.txt").touch()
        (mixed / "z.txt").touch()
        (mixed / "gone").symlink_to("nowhere")
        Path(os.fsdecode(os.fsencode(mixed) + b"/caf\xe9.txt")).touch()
        return mixed

    def test_the_shell_and_quotes_agree(self, mixed: Path):
        by_shell = [f"mixed/{name}" for name in os.listdir("mixed")]  # noqa: PTH208
        assert set(_files(*by_shell)) == set(_files("mixed/*"))
        assert set(_good("mixed/*")) == {"mixed/a.txt", "mixed/z.txt"}
        bad = {e.key: e.reason for e in _files("mixed/*") if isinstance(e, BadEntry)}
        assert set(bad) == {"mixed/gone", r"mixed/caf\xe9.txt"}
        assert "a link to a file that does not exist" in bad["mixed/gone"]

    def test_nothing_but_bad_entries_is_refused_before_there_is_a_job(self, mixed: Path):
        for names in (["typo"], ["mixed/gone"], ["mixed/caf*"], ["mixed/folder"], ["no*"]):
            with pytest.raises(InvalidInput, match="items: "):
                Source(names).check(needed=True)
        Source(["typo", "mixed/gone", "no*", "mixed/a.txt"]).check(needed=True)

    def test_a_file_of_something_else_is_refused_and_makes_no_million_of_failures(
        self, folder: Path
    ):
        (folder / "lines").write_text("not JSON\n" * HOPELESS * 2)
        with pytest.raises(InvalidItem, match="line 1: expected JSON"):
            list(failing(Source(jsonl="lines").entries()))
        (folder / "utf16").write_text("a\nb\n", encoding="utf-16")
        with pytest.raises(InvalidItem, match="line 1: expected UTF-8"):
            list(failing(checked(Source(lines="utf16").entries(), checked_item)))

    def test_a_run_keeps_the_good_and_fails_the_bad(self, joblot: Joblot):
        lines = [f"{n}" for n in range(50)] + ["{not json", '{"key": 7}', '"last"']
        joblot.write("items", "\n".join(lines))
        joblot.write("same.py", "def same(value):\n    return value\n")
        run = ["run", "same:same", "--jsonl", "items", "--workers", "1", "--batch", "7"]
        done = joblot(*run, expect=1)
        (stage,) = joblot.json("show", "1")["stages"]
        assert (stage["succeeded"], stage["failed"]) == (51, 2)
        assert "BadEntry: items line 51: expected JSON" in done.stderr
        assert "BadEntry: entry 52: key: expected text" in done.stderr

    def test_skip_bad_leaves_them_out_and_names_them(self, joblot: Joblot, mixed: Path):
        command = ["run", "work:size", "mixed/*", "--skip-bad", "--workers", "1"]
        done = joblot(*command)
        assert "left out: mixed/gone is a link" in done.stderr
        assert joblot.json("show", "1")["stages"][0]["succeeded"] == 2
        refused = joblot("submit", "j", "mixed/*", "--pipeline", "p", expect=2)
        assert "--skip-bad leaves out" in refused.stderr
        joblot("submit", "j", "mixed/*", "--pipeline", "p", "--skip-bad")
        assert joblot.json("show", "2")["stages"][0]["total"] == 2


def test_the_names_of_find_print0_are_whole(folder: Path):
    names = ["a\nb", " c ", "\ufeffd", "é"]
    (folder / "names").write_bytes("\0".join([*names, ""]).encode() + b"caf\xe9\0")
    *good, bad = Source(lines="names", null=True).entries()
    assert good == names
    assert isinstance(bad, BadEntry)
    with pytest.raises(InvalidInput, match="--null: expected --lines"):
        Source(jsonl="names", null=True).check(needed=True)


def test_a_run_of_the_names_of_find_print0(joblot: Joblot):
    given = "one\ntwo\0three\0"
    joblot("run", "work:upper", "--lines", "-", "--null", "--workers", "1", given=given)
    assert [item["key"] for item in joblot.json("items", "1")] == ["one\ntwo", "three"]


def test_a_byte_order_mark_over_http_is_no_part_of_the_first_item(
    ledger_db: str, admin: Api
) -> None:
    job = admin.post("jobs", {"name": "j", "pipeline": "p", "seal": False})["id"]
    body = '\ufeff{"key": "a"}\n{"key": "b"}\n'.encode()
    assert admin.post_bytes(f"jobs/{job}/items", body, "application/x-ndjson")["added"] == 2
    assert [item["key"] for item in admin.get(f"jobs/{job}/items")["items"]] == ["a", "b"]
