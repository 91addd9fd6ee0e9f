"""F10: a file in the folder of the user's code may have the name of a standard module."""

from __future__ import annotations

import signal
import sys
from collections import Counter

from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.cli.test_worker import Served, served
from tests.worker.conftest import server, token

__all__ = ["joblot", "make_joblot", "served", "server", "token"]

NAMES = sorted(name for name in sys.stdlib_module_names if not name.startswith("_"))
USES = """
import email.message, html, queue, random, token


def uses(key):
    queue.Queue().put(html.escape(key))
    return str(email.message.Message()) + key
"""


def _shadowed(joblot: Joblot, *names: str) -> None:
    for name in names:
        joblot.write(f"{name}.py", f"raise SystemExit('{name} of the folder was imported')\n")
    joblot.write("uses.py", USES)


def test_a_run_in_a_folder_with_a_file_of_every_standard_name(joblot: Joblot):
    _shadowed(joblot, *NAMES)
    joblot.write("names", "a\nb\n")
    done = joblot("run", "uses:uses", "--lines", "names", "--workers", "2")
    assert "of the folder" not in done.stderr


def test_a_worker_in_a_folder_with_a_file_of_every_standard_name(served: Served):
    _shadowed(served.joblot, *NAMES)
    job = served.submit("a", "b")
    worker = served.work("uses:uses")
    assert served.ended(job) == Counter(succeeded=2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0


def test_a_function_in_a_file_with_a_standard_name_is_distinguished(joblot: Joblot):
    joblot.write("queue.py", "def mine(key):\n    return key\n")
    done = joblot("run", "queue:mine", "queue.py", expect=2)
    assert "queue has no mine; queue is a module of Python, which hides queue.py" in done.stderr


def test_a_file_with_the_name_of_a_library_is_the_one_that_the_function_imports(joblot: Joblot):
    joblot.write("numpy.py", "mine = True\n")
    joblot.write("uses.py", "import numpy\n\ndef uses(key):\n    return numpy.mine\n")
    joblot("run", "uses:uses", "uses.py")
