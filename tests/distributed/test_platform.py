"""The example platform with every process by itself.

A Celery worker runs the dispatcher; workers over NATS and workers of the older fleet share the
images of its job.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from joblot.testing.postgres import PostgresServer
from tests.dispatch.nats_server import NatsServer
from tests.meta.sources import ROOT
from tests.polling import eventually

IMAGES = 300
BROKEN = IMAGES // 50
GOOD = IMAGES - BROKEN
MODEL_SECONDS = 0.02  # so that neither kind of workers is done before the other has begun
SECONDS_MAX = 120
BIN = Path(sys.executable).parent
SERVES = re.compile(r"http://\S+:\d+")

SURVEY = f"""
from board.models import Image, Survey
survey = Survey.objects.create(name="night")
Image.objects.bulk_create(
    Image(survey=survey, url=f"https://images.test/{{n}}{{'' if n % 50 else '-broken'}}.jpg")
    for n in range(1, {IMAGES} + 1)
)
print(survey.pk)
"""
DISPATCH = """
from board.tasks import dispatch_survey
dispatch_survey.delay(1)
dispatch_survey.delay(1)
"""
END = """
import json
from board.models import Detection, Occurrence, Survey
from joblot.maintenance import audit
from joblot.models import Event, Lease
survey = Survey.objects.get()
print(json.dumps({
    "jobs": list(Survey.objects.values_list("job", flat=True)),
    "audit": audit(survey.job)["ok"],
    "finished": Event.objects.filter(job_id=survey.job, kind="finished").count(),
    "counts": [{p["key"]: p["value"] for p in s["params"]} for s in survey.progress["stages"]],
    "rows": [Detection.objects.values("url").distinct().count(), Detection.objects.count(),
             Occurrence.objects.values("url").distinct().count(), Occurrence.objects.count()],
    "workers": sorted(set(Lease.objects.filter(stage=0).values_list("worker", flat=True))),
}))
"""


@dataclass
class Platform:
    """The project in a folder, and its processes."""

    folder: Path
    database: str
    environment: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str, **more: str) -> Path:
        """Start it; returns the file that has its output."""
        log = self.folder / f"log{len(self.started)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return log

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def shell(self, code: str) -> str:
        return self.run(sys.executable, "manage.py", "shell", "--verbosity=0", "-c", code)

    def token(self, name: str) -> str:
        return self.run(str(BIN / "joblot"), "token", "create", name, "--scope", "work").split()[-1]

    def check(self) -> None:
        """Every process goes on."""
        for number, one in enumerate(self.started):
            assert one.poll() is None, (self.folder / f"log{number}").read_text()

    def await_lines(self, log: Path, text: str, count: int = 1) -> None:
        def written() -> bool:
            self.check()
            return log.read_text().count(text) == count

        eventually(written, seconds_max=SECONDS_MAX)

    def await_status(self, wanted: str) -> None:
        """As the old page shows it."""

        def shown() -> bool:
            self.check()
            found = database.execute("SELECT status FROM board_survey").fetchall()
            return found == [(wanted,)]

        with psycopg.connect(self.database, autocommit=True) as database:
            eventually(shown, seconds_max=SECONDS_MAX)

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def platform(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Platform]:
    folder = tmp_path / "platform"
    shutil.copytree(ROOT / "examples/platform", folder)
    settings = postgres_server.django_settings("platform")
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "JOBLOT_", "PG"))}
    libpq = {f"PG{name}": settings[name] for name in ("HOST", "PORT", "USER") if settings.get(name)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with NatsServer(tmp_path) as nats:
        nats.start()
        one = Platform(
            folder,
            postgres_server.create_database("platform"),
            ours
            | libpq
            | {
                "PATH": f"{BIN}:{ours['PATH']}",
                "DJANGO_SETTINGS_MODULE": "settings",
                "PGDATABASE": "platform",
                "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
                "JOBLOT_NATS_URL": nats.url,
                "MODEL_SECONDS": str(MODEL_SECONDS),
            },
        )
        one.start("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "")
        yield one
        one.end()
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute("DROP DATABASE platform WITH (FORCE)")


@pytest.mark.timeout(300)
def test_celery_dispatches_and_both_kinds_of_workers_share_the_images(platform: Platform) -> None:
    platform.run(sys.executable, "manage.py", "migrate", "--verbosity=0")
    assert platform.shell(SURVEY) == "1"
    served = platform.start("joblot", "serve", "--port", "0")
    url = eventually(lambda: SERVES.search(served.read_text()))[0]
    platform.start(
        "joblot", "dispatch", "--pipeline", "moths", "--pipeline", "save", "--items", "4"
    )
    celery = platform.start(
        "celery", "-A", "celery_app", "worker", "--concurrency", "1", "-l", "INFO"
    )
    platform.start("joblot", "worker", "board.work", JOBLOT_TOKEN=platform.token("nats"))
    fleet = {"JOBLOT_URL": url, "JOBLOT_TOKEN": platform.token("fleet")}
    platform.start(sys.executable, "-m", "board.fleet", **fleet)
    platform.await_lines(celery, "ready.")
    platform.shell(DISPATCH)
    platform.await_lines(celery, " succeeded in ", 2)
    platform.await_status("COMPLETED_WITH_ERRORS")
    found: dict[str, Any] = json.loads(platform.shell(END))
    assert found["jobs"] == [1], "the task ran twice, and found the same job"
    assert found["audit"]
    assert found["finished"] == 1
    process, results = found["counts"]
    assert (process["processed"], process["remaining"], process["failed"]) == (IMAGES, 0, BROKEN)
    assert (results["processed"], results["remaining"], results["failed"]) == (IMAGES, 0, 0)
    assert found["rows"] == [GOOD, GOOD, GOOD, GOOD]
    fleets = [name.startswith("antenna-") for name in found["workers"]]
    assert {*fleets} == {True, False}, found["workers"]
