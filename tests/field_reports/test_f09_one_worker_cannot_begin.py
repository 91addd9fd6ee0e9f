"""F9: one of several workers can't load the function, for lack of memory; the others go on."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.cli.test_worker import Served, _drained, served
from tests.worker.conftest import server, token

__all__ = ["joblot", "make_joblot", "served", "server", "token"]

# Exactly one import succeeds: the first, or the second.
MODEL = """
import os, time
from pathlib import Path

def first():
    try:
        os.close(os.open("model", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

if first() is {fails}:
    {how}
while not {fails} and not Path("failed").exists():
    time.sleep(0.01)


def f(key):
    return key
"""
MEMORY = 'Path("failed").touch(); raise MemoryError("second copy")'
KILLED = 'Path("failed").touch(); os.kill(os.getpid(), 9)'


@pytest.mark.parametrize("how", [MEMORY, KILLED], ids=["raises", "is killed"])
@pytest.mark.parametrize("fails", [True, False], ids=["first", "second"])
def test_a_run_goes_on_with_the_workers_that_began(joblot: Joblot, how: str, *, fails: bool):
    joblot.write("model.py", MODEL.format(fails=fails, how=how))
    joblot.write("names", "".join(f"n{n}\n" for n in range(20)))
    done = joblot("run", "model:f", "--lines", "names", "--workers", "2")
    assert "Succeeded, f 20 of 20" in done.stderr
    if fails:
        assert "a worker can't begin, the others go on: " in done.stderr


def test_a_run_in_which_none_begins_ends_with_the_cause(joblot: Joblot):
    joblot.write("model.py", "raise MemoryError('too large')")
    done = joblot("run", "model:f", "model.py", "--workers", "2", expect=2)
    assert (
        done.stderr == "joblot: function: module model can't be imported: MemoryError: too large\n"
    )


def test_workers_over_http_go_on(served: Served):
    served.joblot.write(
        "model.py", MODEL.format(fails=False, how=MEMORY).replace("while not False", "while False")
    )
    worker = served.work("model:f", "--processes", "2")
    job = served.submit(*[f"n{n}" for n in range(20)])
    assert served.ended(job) == Counter(succeeded=20)
    assert "the others go on" in _drained(worker)
