"""F17, F18, F19: outputs go where the user points, whatever that is, in any encoding."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import tty
from pathlib import Path

import pytest

from joblot.cli import out
from joblot.cli.exits import NOBODY_READS
from joblot.errors import InvalidInput, Unavailable
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import success
from tests.cli.conftest import JOBLOT, Joblot, joblot, make_joblot
from tests.threads import Threads

__all__ = ["joblot", "make_joblot"]


@pytest.fixture
def job(sqlite_only: str) -> int:
    """A job with two outputs."""
    made = submit("j", ["a", "b"], pipeline="p")
    (lease,) = claim("p", idempotency_key=None).leases
    report(lease.token, [success(item.id, f"é✓ {item.key}") for item in lease.items])
    return int(made.pk)


EXPECTED = '{"key": "a", "output": "é✓ a"}\n{"key": "b", "output": "é✓ b"}\n'


def _written(job: int, target: Path | str) -> None:
    out.check(str(target))
    out.write(job, str(target))


def test_a_pipe_stays_a_pipe_and_its_reader_gets_all(job: int, tmp_path: Path, in_thread: Threads):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = in_thread(pipe.read_text)
    _written(job, pipe)
    assert read.result() == EXPECTED
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [one.name for one in tmp_path.glob("pipe*")] == ["pipe"]


def test_a_descriptor_as_of_a_process_substitution(job: int):
    ours, theirs = os.pipe()
    _written(job, f"/dev/fd/{theirs}")
    os.close(theirs)
    with os.fdopen(ours) as read:
        assert read.read() == EXPECTED


def test_a_device_is_written_through(job: int):
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    _written(job, name)
    assert os.read(ours, 1000).decode() == EXPECTED
    assert stat.S_ISCHR(Path(name).stat().st_mode)
    os.close(theirs)
    os.close(ours)


def test_a_full_device_is_reported(job: int):
    with pytest.raises(Unavailable, match="/dev/full could not be written: No space left"):
        _written(job, "/dev/full")


@pytest.mark.parametrize("before", ["old\n", None])
def test_a_link_stays_and_what_it_points_to_is_replaced(job: int, tmp_path: Path, before: str):
    (tmp_path / "folder").mkdir()
    real, link, second = tmp_path / "folder" / "real", tmp_path / "link", tmp_path / "second"
    if before is not None:
        real.write_text(before)
    link.symlink_to("folder/real")
    second.symlink_to(link)
    _written(job, second)
    assert second.is_symlink()
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == EXPECTED


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_file_keeps_its_mode(job: int, tmp_path: Path, mode: int):
    file = tmp_path / "out"
    file.write_text("old\n")
    file.chmod(mode)
    _written(job, file)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_text(encoding="utf-8") == EXPECTED


def test_what_can_not_be_written_is_refused_before_the_work(tmp_path: Path):
    (tmp_path / "link").symlink_to("no/such/folder/out")
    for target in (tmp_path, tmp_path / "no" / "out", tmp_path / "link"):
        with pytest.raises(InvalidInput, match=r"--out: .* can't be written"):
            out.check(str(target))


SAYS = "def says(key):\n    return 'é✓😀 ' + key * 200\n"


def test_a_reader_that_ends_early_and_a_terminal_of_another_encoding(joblot: Joblot):
    """`--out - | head -1`; then the same outputs under PYTHONIOENCODING."""
    joblot.write("says.py", SAYS)
    joblot.write("names", "".join(f"n{n}\n" for n in range(500)))
    run = ["run", "says:says", "--lines", "names", "--workers", "1", "--out", "-"]
    running = subprocess.Popen(
        [JOBLOT, *run],
        cwd=joblot.folder,
        env=joblot.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline().startswith(b'{"key": "n')
    running.stdout.close()
    with running.stderr:
        said = running.stderr.read().decode()
    assert running.wait(60) == NOBODY_READS
    assert "Broken pipe" not in said
    assert "Traceback" not in said

    again = ["run", "--resume", "1", "--out", "-"]
    for encoding in ("latin-1", "ascii", "utf-8"):
        done = joblot(*again, PYTHONIOENCODING=encoding)
        outputs = {
            line["key"]: line["output"] for line in map(json.loads, done.stdout.splitlines())
        }
        assert len(outputs) == 500
        assert outputs["n7"] == "é✓😀 " + "n7" * 200
        assert ("\\u2713" in done.stdout) == (encoding != "utf-8")


def test_names_are_listed_in_any_encoding(joblot: Joblot):
    joblot("submit", "é✓", "--lines", "-", "--pipeline", "p", given="é✓😀\n")
    listed = joblot("items", "1", PYTHONIOENCODING="ascii")
    assert "\\u2713" in listed.stdout
    found = json.loads(joblot("items", "1", "--json", PYTHONIOENCODING="ascii").stdout)
    assert found[0]["key"] == "é✓😀"
