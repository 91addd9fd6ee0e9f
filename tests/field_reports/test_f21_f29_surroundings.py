"""F21 to F26, F29: odd surroundings of a run: folders, users, cores, hosts, file systems."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joblot import file_system, private
from joblot.cli import alive
from joblot.cli.cores import Cores, cores
from joblot.errors import Unavailable
from tests.cli.conftest import JOBLOT, Joblot, joblot, make_joblot

__all__ = ["joblot", "make_joblot"]

ENDS = """
import os


def ends(key):
    os.kill(os.getppid(), 9)
    os.kill(os.getpid(), 9)
"""
SETPRIV = shutil.which("setpriv")
NOBODY = 54_321  # a user without an entry in passwd


class TestPlacesThatAreRelative:
    """F21: a run in one folder, continued from its parent."""

    @pytest.mark.parametrize("how", ["--db", "JOBLOT_DATABASE_URL", "XDG_DATA_HOME"])
    def test_a_run_is_continued_from_the_parent_folder(self, joblot: Joblot, how: str):
        inner = joblot.folder / "A"
        inner.mkdir()
        shutil.copy(joblot.folder / "work.py", inner)
        (inner / "names").write_text("a\nbad\n")

        def place(path: str) -> tuple[list[str], dict[str, str]]:
            if how == "--db":
                return ["--db", f"{path}j.sqlite3"], {}
            if how == "XDG_DATA_HOME":
                return [], {how: f"{path}d"}
            return [], {how: f"sqlite:///{path}j.sqlite3"}

        there = place("")
        run = ["run", "work:picky", "--lines", "names", "--workers", "1", *there[0]]
        Joblot(inner, joblot.environment | there[1])(*run, expect=1)
        options, environment = place("A/")
        outer = Joblot(joblot.folder, joblot.environment | environment)
        outer("retry", "1", *options)
        outer("run", "--resume", "1", *options, "--workers", "1", expect=1)
        assert (inner / "calls").read_text().split() == ["a", "bad", "bad"]
        own = joblot.folder / "data"  # has one of the fixture's
        assert (
            len([path for path in joblot.folder.rglob("j*.sqlite3") if own not in path.parents])
            == 1
        )


@pytest.mark.skipif(
    os.geteuid() != 0 or SETPRIV is None, reason="only root can become another user"
)
class TestNoHome:
    """F24: a user without HOME and without an entry in passwd."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """Of that user; those above the folders of pytest can't be entered by others."""
        with tempfile.TemporaryDirectory() as made:
            os.chown(made, NOBODY, NOBODY)
            yield Path(made)

    @pytest.mark.parametrize("command", ["jobs", "serve"])
    def test_the_error_names_the_option_that_helps(self, folder: Path, command: str):
        done = self._by_nobody(folder, command)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 4
        assert "this user has no home folder (HOME is not set)" in line
        assert "--db" in line

    def test_with_which_a_run_works(self, folder: Path):
        (folder / "names").write_text("a\nb\n")
        run = ["run", "os.path:basename", "--lines", "names", "--db", "j.sqlite3", "--workers", "1"]
        done = self._by_nobody(folder, *run)
        assert done.returncode == 0, done.stderr
        assert "Succeeded, basename 2 of 2" in done.stderr

    def _by_nobody(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        assert SETPRIV is not None
        become = [SETPRIV, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        done = subprocess.run(
            [*become, JOBLOT, *command],
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.stderr.startswith("setpriv: ") or "Errno 13" in done.stderr:
            pytest.skip("another user can't run this Python")
        return done


class TestCores:
    """F25: control groups as they are mounted in containers and on machines."""

    @pytest.fixture
    def root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(os, "cpu_count", lambda: 16)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
        return tmp_path

    def _write(self, root: Path, **files: str) -> None:
        for name, text in files.items():
            path = root / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def test_without_control_groups_it_is_what_the_process_is_bound_to(self, root: Path):
        assert cores(root) == Cores(12, "bound to 12 of 16 cores")

    @pytest.mark.parametrize(
        ("limit", "count", "shown"),
        [("200000 100000", 2, "2"), ("50000 100000", 1, "0.5"), ("250000 100000", 3, "2.5")],
    )
    def test_the_quota_of_a_container(self, root: Path, limit: str, count: int, shown: str):
        self._write(root, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu_dot_max=f"{limit}\n")
        assert cores(root) == Cores(count, f"the CPU quota is {shown} of 16 cores")

    def test_the_lowest_quota_of_the_groups_above_counts(self, root: Path):
        self._write(
            root,
            proc__self__cgroup="0::/system.slice/a.service\n",
            sys__fs__cgroup__cpu_dot_max="max 100000\n",
            sys__fs__cgroup__system_dot_slice__cpu_dot_max="300000 100000\n",
        )
        inner = root / "sys/fs/cgroup/system.slice/a.service/cpu.max"
        inner.parent.mkdir()
        inner.write_text("max 100000\n")
        assert cores(root).count == 3

    @pytest.mark.parametrize("limit", ["max 100000", "-1 100000", "1600000 100000", "", "x", "5 0"])
    def test_no_quota_and_one_that_allows_more_change_nothing(self, root: Path, limit: str):
        self._write(root, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu_dot_max=limit)
        assert cores(root).count == 12

    def test_the_older_version_of_control_groups(self, root: Path):
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text("5:memory:/x\n3:cpu,cpuacct:/docker/abc\n")
        folder = root / "sys/fs/cgroup/cpu"
        folder.mkdir(parents=True)
        (folder / "cpu.cfs_quota_us").write_text("150000\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")
        assert cores(root).count == 2


class TestAnotherHostName:
    """F23: a container is started again on the same data."""

    @pytest.fixture(autouse=True)
    def data(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def test_its_dead_workers_are_known_by_their_files(self, monkeypatch: pytest.MonkeyPatch):
        name = alive.new_name()
        with alive.held(name):
            monkeypatch.setattr("socket.gethostname", lambda: "another")
            assert not alive.is_dead(name)
        assert alive.is_dead(name)
        assert not alive.is_dead("elsewhere/0123456789ab")

    def test_a_file_that_another_machine_may_have_made_says_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        name = alive.new_name()
        with alive.held(name):
            pass
        monkeypatch.setattr("socket.gethostname", lambda: "another")
        monkeypatch.setattr(file_system, "is_shared", lambda path: True)
        assert not alive.is_dead(name)

    def test_a_resumed_run_says_until_when_others_may_hold_items(self, joblot: Joblot):
        joblot.write("names", "".join(f"n{n}\n" for n in range(3)))
        joblot.write("ends.py", ENDS)
        joblot("run", "ends:ends", "--lines", "names", "--workers", "1", expect=-9)
        for file in (joblot.folder / "data/joblot/workers").iterdir():
            file.unlink()
        joblot.write("ends.py", "def ends(key):\n    return key\n")
        running = joblot.start("run", "--resume", "1", "--workers", "1")
        assert running.stderr is not None
        line = running.stderr.readline()
        assert "may be in progress on " in line
        token = line.split()[-1]
        joblot("expire", token)
        assert running.wait(60) == 0


class TestNetworkFileSystems:
    """F26"""

    def test_a_file_system_without_locks_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def refuse(*_: Any) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
        expected = r"can't be locked \(No locks available\): it is on \w+; .* --db"
        with pytest.raises(Unavailable, match=expected), private.file_lock(tmp_path / "x"):
            pass
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        with pytest.raises(Unavailable, match=expected), alive.held(alive.new_name()):
            pass

    def test_the_file_system_of_a_path_is_the_innermost(self, tmp_path: Path):
        mounts = tmp_path / "mounts"
        (tmp_path / "a b").mkdir()
        spaced = str(tmp_path / "a b").replace(" ", "\\040")
        mounts.write_text(
            f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\nx {spaced} tmpfs rw 0 0\n"
        )
        assert file_system.of(tmp_path / "file", mounts).kind == "nfs4"
        assert file_system.of(tmp_path, mounts).is_shared
        assert file_system.of(tmp_path / "a b" / "c" / "d", mounts).kind == "tmpfs"
        assert file_system.of(Path("/etc"), mounts).kind == "ext4"
        assert not file_system.of(Path("/etc"), tmp_path / "none").is_shared


def test_the_folder_of_the_code_was_moved(joblot: Joblot):
    """F29"""
    old = joblot.folder / "old"
    old.mkdir()
    shutil.copy(joblot.folder / "work.py", old)
    (old / "names").write_text("a\nbad\n")
    Joblot(old, joblot.environment)(
        "run", "work:picky", "--lines", "names", "--workers", "1", expect=1
    )
    joblot("retry", "1")
    old.rename(joblot.folder / "new")
    refused = joblot("run", "--resume", "1", expect=2)
    (line,) = refused.stderr.splitlines()
    assert f"there is no folder {old}" in line
    assert "--chdir" in line
    joblot("run", "--resume", "1", "--chdir", "new", "--workers", "1", expect=1)
    assert (joblot.folder / "new" / "calls").read_text().split() == ["a", "bad", "bad"]
