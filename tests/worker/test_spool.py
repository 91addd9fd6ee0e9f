"""Results on disk until their receipts, whichever process ends in between."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from joblot.errors import Unavailable
from joblot.wire import Result, failure, success
from joblot.worker import spool as module
from joblot.worker.spool import Spool, record_of
from tests.meta.sources import ROOT


def _keep(spool: Spool, *results: Result, token: str = "lease"):
    return spool.keep([record_of(token, result) for result in results])


def _crash(spool: Spool) -> None:
    """Do what the kernel does when a process ends: release the lock, keep the files."""
    os.close(spool._descriptor)


def _taken(folder: Path) -> list[tuple[str, Result]]:
    """Take over the results left by dead processes."""
    found = []
    for spool in Spool.taken_over(folder):
        found += [(left.token, left.result) for left in spool.left()]
        _crash(spool)
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.results"))


def test_what_was_kept_is_taken_over_in_its_order(tmp_path: Path):
    spool = Spool.begin(tmp_path)
    results = [success(0, {"é": [1, None]}, {"n": 3}), failure(1, "Busy", "x\ny", retryable=True)]
    _keep(spool, *results)
    _keep(spool, success(2, "z"), token="another")
    _crash(spool)
    assert _taken(tmp_path) == [
        ("lease", results[0]),
        ("lease", results[1]),
        ("another", success(2, "z")),
    ]


def test_nothing_stays_on_disk_once_all_have_their_receipts(tmp_path: Path):
    spool = Spool.begin(tmp_path)
    for place in [_keep(spool, success(0)), *[_keep(spool, success(1), success(2))] * 2]:
        spool.receipted(place)
    assert spool.bytes_used == 0
    spool.end()
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_receipt_stays_when_the_worker_ends(tmp_path: Path):
    spool = Spool.begin(tmp_path)
    place = _keep(spool, success(0), success(1))
    spool.receipted(place)
    spool.end()
    assert [result.item for _, result in _taken(tmp_path)] == [0, 1]  # posting again is safe


def test_a_full_file_is_ended_and_goes_with_its_last_receipt(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 100)
    spool = Spool.begin(tmp_path)
    places = [_keep(spool, success(n, "x" * 100)) for n in range(3)]
    assert len(_files(tmp_path)) == 3
    spool.receipted(places[1])
    assert [path.name[:6] for path in _files(tmp_path)] == ["000001", "000003"]
    spool.receipted(places[0])
    spool.receipted(places[2])
    _keep(spool, success(9))
    _crash(spool)
    assert [result.item for _, result in _taken(tmp_path)] == [9]


def test_it_has_room_up_to_its_limit_and_always_for_one(tmp_path: Path):
    spool = Spool.begin(tmp_path, bytes_max=100)
    assert spool.has_room(1_000)
    place = _keep(spool, success(0))
    assert spool.has_room(100 - spool.bytes_used)
    assert not spool.has_room(101 - spool.bytes_used)
    spool.receipted(place)
    assert spool.has_room(1_000)
    spool.end()


def test_the_spool_of_a_living_worker_is_left_alone(tmp_path: Path):
    spool = Spool.begin(tmp_path)
    _keep(spool, success(0))
    assert _taken(tmp_path) == []
    spool.end()


def test_exactly_one_takes_over_what_a_dead_worker_left(tmp_path: Path):
    for n in range(20):
        spool = Spool.begin(tmp_path)
        _keep(spool, success(n))
        _crash(spool)

    def take_over(_: int) -> Sequence[int]:
        spools = list(Spool.taken_over(tmp_path))
        return [left.result.item for spool in spools for left in spool.left()]

    with ThreadPoolExecutor(4) as threads:
        taken = [item for items in threads.map(take_over, range(4)) for item in items]
    assert sorted(taken) == list(range(20))


def test_a_spool_that_was_posted_is_removed_with_its_folder(tmp_path: Path):
    dead = Spool.begin(tmp_path)
    _keep(dead, success(0))
    _crash(dead)
    (spool,) = Spool.taken_over(tmp_path)
    for left in spool.left():
        spool.receipted(left.place)
    spool.end()
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_tail_costs_only_itself_and_is_reported(tmp_path: Path, caplog):
    """At every byte of the last record."""
    spool = Spool.begin(tmp_path)
    _keep(spool, success(0), success(1))
    whole = _files(tmp_path)[0].read_bytes()
    first = whole.index(b"\n") + 1
    _crash(spool)
    (path,) = _files(tmp_path)
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        caplog.clear()
        assert [result.item for _, result in _taken(tmp_path)] == [0]
        logged = [record.message for record in caplog.records]
        assert len(logged) == (length > first)
        assert all(f"last {length - first} bytes were cut off" in line for line in logged)


def test_a_damaged_record_costs_only_itself_and_is_kept_aside(tmp_path: Path, caplog):
    spool = Spool.begin(tmp_path)
    _keep(spool, success(0), success(1, "aaa"), success(2))
    _crash(spool)
    (path,) = _files(tmp_path)
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"aaa", b"aab")  # still JSON
    path.write_bytes(b"\n".join(lines))
    assert [result.item for _, result in _taken(tmp_path)] == [0, 2]
    assert "1 results can't be read" in caplog.text
    (aside,) = tmp_path.glob("*/*.damaged")
    assert aside.read_bytes() == lines[1] + b"\n"


def test_any_damage_at_all_is_survived(tmp_path: Path, caplog):
    caplog.set_level(logging.CRITICAL)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(60):
        spool = Spool.begin(tmp_path)
        _keep(spool, success(0, "é"), success(1), failure(2, "E"))
        _crash(spool)
        (path,) = _files(tmp_path)
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        found = {result.item for _, result in _taken(tmp_path)}
        assert found <= {0, 1, 2}, f"seed {seed}"
        assert len(found) >= 1, f"seed {seed}"  # a lost newline joins two lines
        path.unlink(missing_ok=True)


def test_a_record_that_could_not_be_written_leaves_no_half_behind(tmp_path: Path, monkeypatch):
    spool = Spool.begin(tmp_path)
    _keep(spool, success(0))

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write", full)
        with pytest.raises(OSError, match="No space"):
            _keep(spool, success(1))
    _keep(spool, success(2))
    _crash(spool)
    assert [result.item for _, result in _taken(tmp_path)] == [0, 2]


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="--spool"):
        Spool.begin(tmp_path / "file" / "spool")


KEEPER = """
import sys
from pathlib import Path
from joblot.wire import success
from joblot.worker.spool import Spool, record_of
spool = Spool.begin(Path(sys.argv[1]))
for number in range(10**9):
    spool.keep([record_of("lease", success(number, "x" * 50))])
    print(number, flush=True)
"""


def test_what_is_said_to_be_kept_survives_a_kill(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        output += [int(line) for line in process.stdout if line.endswith("\n")]
    found = [result.item for _, result in _taken(tmp_path)]
    assert found[: len(output)] == output
    assert len(found) <= len(output) + 1
