"""A script that calls `joblot.worker.run` keeps what its items print; its streams stay its own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from joblot.errors import InvalidInput
from joblot.ledger.read.items import outputs
from joblot.ledger.submit.submit import submit
from joblot.worker import handler, keeping_output, run
from tests.polling import eventually
from tests.worker.conftest import ended
from tests.worker.scene import Scene
from tests.worker.server import Server
from tests.worker.test_printed import kept, scene

__all__ = ["scene"]

SAYS = """
import io
import logging
import os
import sys
import threading
import warnings

from joblot.worker import run, work

logging.basicConfig(level=logging.INFO, format="%(message)s")
warnings.simplefilter("always")


@work("p")
def says(key):
    print("printed", key)
    logging.info("logged")
    warnings.warn("be careful", stacklevel=1)
    os.write(1, b"past the streams\\n")
    thread = threading.Thread(target=print, args=("of a thread",))
    thread.start()
    thread.join()
    if key == "much":
        for n in range(50_000):
            print(f"{n:0100}")
    sys.stdout.buffer.write(b"\\xff bytes\\n")
    terminals = [one.isatty() for one in (sys.stdin, sys.stdout, sys.stderr)]
    if key == "replaces":
        sys.stdout = io.StringIO()
    assert key == "good"
    return terminals


sys.exit(run())
"""


@contextmanager
def on_a_terminal(folder: Path, **environment: str) -> Iterator[list[bytes]]:
    """Run the script until the block ends; what its terminal gets is read all the time."""
    (folder / "photos.py").write_text(SAYS)
    ours, theirs = pty.openpty()
    worker = subprocess.Popen(
        [sys.executable, "photos.py"],
        cwd=folder,
        env=os.environ | {"XDG_DATA_HOME": str(folder), **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown: list[bytes] = []
    reading = threading.Thread(target=_read, args=(ours, shown))
    reading.start()
    try:
        yield shown
    finally:
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(60)
        reading.join()
        os.close(ours)
    assert code == 0, b"".join(shown)[-2_000:]


def _read(terminal: int, shown: list[bytes]) -> None:
    while True:
        try:
            shown.append(os.read(terminal, 65_536))
        except OSError:  # its other end is closed
            return


def test_what_a_failed_item_of_a_script_prints_is_kept_and_the_terminal_stays(
    server: Server, token: str, tmp_path: Path
) -> None:
    job = submit("j", ["good", "bad", "much", "replaces", "then"], pipeline="p").pk
    with on_a_terminal(tmp_path, JOBLOT_URL=server.url, JOBLOT_TOKEN=token) as shown:
        assert ended(job)["total"] == 5
        eventually(lambda: set(kept(job)) == {1, 2, 3, 4})
    assert dict(outputs(job)) == {"good": [True, True, True]}
    found = {number: text.splitlines() for number, text in kept(job).items()}
    said = ["logged", "of a thread", "\ufffd bytes"]
    for number, key in ((1, "bad"), (3, "replaces")):
        warning, source = found[number][2:4]
        assert "photos.py" in warning
        assert warning.endswith("UserWarning: be careful")
        assert "warnings.warn" in source
        assert found[number][:2] + found[number][4:] == [f"printed {key}", *said]
    assert found[2][-2:] == [f"{49_999:0100}", "\ufffd bytes"]
    assert found[4][:2] == ["printed then", "logged"]
    assert b"past the streams" in b"".join(shown)
    assert b"printed bad" in b"".join(shown)


def test_a_worker_in_a_program_keeps_what_its_items_print(
    ledger_db: str, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    job = submit("j", ["a", "bad"], pipeline="p").pk
    write = sys.stdout.write

    def says(key: str) -> None:
        sys.stdout.write(f"looks at {key}\n")
        assert key != "bad"

    with (
        keeping_output(scene.client, [handler("p", says)], "all") as (one,),
        scene.serving(one.work),
    ):
        ended(job)
    assert kept(job) == {0: "looks at a", 1: "looks at bad"}
    assert sys.stdout.write == write
    assert capsys.readouterr().out == "looks at a\nlooks at bad\n"


def test_an_unknown_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected one of failed, all, none, got 'some'"):
        run("http://127.0.0.1:9", "token", spool=str(tmp_path), keep_output="some")
