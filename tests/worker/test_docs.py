"""The page on workers is correct: its worker is run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from joblot.ledger.read.items import items
from joblot.ledger.submit.submit import submit
from tests.meta.sources import ROOT
from tests.worker.conftest import ended
from tests.worker.server import Server


def test_the_worker_in_ten_lines_works(
    sqlite_only: str, server: Server, token: str, tmp_path: Path
):
    page = (ROOT / "docs/how-to/worker.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n# photos.py\n(.*?)```", page, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "photos.py").write_text(code)
    given = [{"key": f"k{n}", "payload": {"text": "x" * n}} for n in range(50)]
    sizes, uppers = (submit("j", given, pipeline=name) for name in ("size", "upper"))
    environment = {"JOBLOT_URL": server.url, "JOBLOT_TOKEN": token, "XDG_DATA_HOME": str(tmp_path)}
    worker = subprocess.Popen(
        [sys.executable, "photos.py"], cwd=tmp_path, env=os.environ | environment
    )
    try:
        assert ended(sizes.pk)["status"] == ended(uppers.pk)["status"] == "SUCCESS"
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    assert [item["outcomes"][0]["output"] for item in items(uppers.pk)][3] == "XXX"
