"""The truth file of the benchmark's peers: what ran, what did not, and what fired when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.peers.truth import Proof, Truth

NOTE = Path(__file__).parents[3] / "bench" / "peers"


def record(folder: Path, code: str) -> None:
    """Run what a peer's worker runs, in a process of its own."""
    environment = os.environ | {"PEER_TRUTH": str(folder), "PYTHONPATH": str(NOTE)}
    command = [sys.executable, "-c", f"import note\n{code}"]
    subprocess.run(command, env=environment, check=True)


def test_everything_once(tmp_path: Path) -> None:
    record(tmp_path, "for n in range(5): note.ran(n)\nnote.called_back(5)")
    truth = Truth(tmp_path)
    assert truth.calls() == 5
    assert truth.prove(5) == Proof(ran=5, lost=0, run_twice=0, callbacks=1, early=0)


def test_what_never_ran_is_lost(tmp_path: Path) -> None:
    record(tmp_path, "note.ran(0)\nnote.ran(3)")
    assert Truth(tmp_path).prove(4) == Proof(ran=2, lost=2, run_twice=0, callbacks=0, early=0)


def test_a_second_run_in_another_process_is_counted(tmp_path: Path) -> None:
    record(tmp_path, "note.ran(0)\nnote.ran(1)")
    record(tmp_path, "note.ran(1)\nnote.ran(1)")
    truth = Truth(tmp_path)
    assert truth.calls() == 4
    assert truth.prove(2) == Proof(ran=2, lost=0, run_twice=2, callbacks=0, early=0)


def test_a_callback_that_fires_early_and_again(tmp_path: Path) -> None:
    record(
        tmp_path, "note.ran(0)\nnote.ran(0)\nnote.called_back()\nnote.ran(1)\nnote.called_back()"
    )
    assert Truth(tmp_path).prove(2) == Proof(ran=2, lost=0, run_twice=1, callbacks=2, early=1)


def test_nothing_was_recorded(tmp_path: Path) -> None:
    truth = Truth(tmp_path)
    assert (truth.calls(), truth.callbacks(), truth.last_write()) == (0, 0, 0.0)
    assert truth.prove(3) == Proof(ran=0, lost=3, run_twice=0, callbacks=0, early=0)


def test_an_item_that_was_never_submitted_is_an_error(tmp_path: Path) -> None:
    record(tmp_path, "note.ran(7)")
    with pytest.raises(ValueError, match="expected items below 3"):
        Truth(tmp_path).prove(3)


def test_the_last_write_is_that_of_the_callback(tmp_path: Path) -> None:
    record(tmp_path, "note.ran(0)\nnote.called_back()")
    os.utime(tmp_path / "items", (100, 100))
    os.utime(tmp_path / "callbacks", (200, 200))
    assert Truth(tmp_path).last_write() == 200
