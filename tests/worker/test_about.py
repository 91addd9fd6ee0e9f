"""What a worker reports about itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joblot.ledger.read import workers
from joblot.ledger.submit.submit import submit
from joblot.worker import HttpClient, about
from tests.worker.server import Server


@pytest.fixture(autouse=True)
def looked_anew() -> Iterator[None]:
    about._gpus.cache_clear()
    yield
    about._gpus.cache_clear()


def test_the_machine_is_described_with_its_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Tesla X'\necho 'Tesla Y'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = about.about()
    assert found["hardware"]["gpus"] == ["Tesla X", "Tesla Y"]
    assert found["hardware"]["cpus"] >= 1
    assert found["hardware"]["memory_bytes"] > 2**20
    assert len(json.dumps(found)) < 8_192


@pytest.mark.parametrize("text", ["", "#!/bin/sh\nexit 9\n"])
def test_a_machine_without_gpus_has_none(tmp_path: Path, monkeypatch, text: str):
    if text:
        (tmp_path / "nvidia-smi").write_text(text)
        (tmp_path / "nvidia-smi").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert about.about()["hardware"]["gpus"] == []


def test_the_server_knows_the_worker_by_it(ledger_db: str, server: Server, token: str):
    submit("j", ["a"], pipeline="p")
    instance = about.new_instance()
    with HttpClient(server.url, token, instance, about=about.about()) as client:
        client.claim(["p"], 1, job=None, worker="", idempotency_key="k")
    (seen,) = workers.workers(None)
    found: dict[str, Any] = seen
    assert found["instance"] == instance
    assert found["about"]["hardware"]["cpus"] >= 1
