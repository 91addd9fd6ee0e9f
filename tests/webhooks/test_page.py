"""The receivers on the page work as it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from joblot.models import Webhook
from joblot.webhooks.sender import send_due
from joblot.webhooks.signature import new_secret
from joblot.webhooks.subscriptions import subscribe
from tests.meta.sources import ROOT
from tests.polling import eventually
from tests.ports import kept
from tests.webhooks.conftest import finish, row
from tests.webhooks.receivers import is_open

FILE = re.compile(r"```python\n# (\S+)\n(.*?)```", re.DOTALL)


def write_files(folder: Path) -> None:
    for name, text in FILE.findall((ROOT / "docs/how-to/webhooks.md").read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def port() -> Iterator[int]:
    with kept() as port:
        yield port


def test_the_plain_receiver_takes_what_is_genuine(
    sqlite_only: str, tmp_path: Path, port: int
) -> None:
    write_files(tmp_path)
    secret, _ = subscribe(f"http://127.0.0.1:{port}/")
    with subprocess.Popen(
        [sys.executable, tmp_path / "receiver.py"],
        env=os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as receiver:
        eventually(lambda: is_open(port))
        job = finish()
        assert send_due() == 1
        Webhook.objects.update(secret=new_secret())
        finish("q")
        assert send_due() == 0
        receiver.terminate()
        output, _ = receiver.communicate(timeout=60)
    assert output == f"{row(job_id=job.pk).message_id} job.finished SUCCESS\n"


def test_the_django_receiver_does_its_work_once(tmp_path: Path) -> None:
    write_files(tmp_path)
    script = Path(__file__).parent / "django_receiver.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), new_secret()],
        env={name: value for name, value in os.environ.items() if "DJANGO" not in name},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[401, 204, 204], [[7, "SUCCESS"]], 1]
