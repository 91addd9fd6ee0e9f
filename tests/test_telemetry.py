"""Observers and spans."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Span = dict[str, Any]


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Span]:
    """Those of the program traced.py, in the order in which they ended."""
    program = [sys.executable, str(Path(__file__).with_name("traced.py"))]
    path = tmp_path_factory.mktemp("traced") / "joblot.sqlite3"
    done = subprocess.run([*program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span["name"] == name]


def test_a_submission_its_claims_and_its_reports_are_one_trace(spans: list[Span]) -> None:
    (upload,) = named(spans, "upload")
    (submission,) = named(spans, "joblot.submit")
    ours = [*named(spans, "joblot.claim"), *named(spans, "joblot.report")]
    assert len(ours) == 4
    assert {span["trace"] for span in ours} == {upload["trace"]}
    assert {span["parent"] for span in ours} == {submission["span"]}
    assert ours[0]["attributes"] == {"joblot.job": 1, "joblot.items": 1}


def test_a_lease_carries_the_trace_to_its_worker(spans: list[Span]) -> None:
    (submission,) = named(spans, "joblot.submit")
    (lease,) = named(spans, "lease")
    assert lease["traceparent"].split("-")[1:3] == [submission["trace"], submission["span"]]


def test_a_worker_that_has_a_trace_is_linked_to_the_job_s(spans: list[Span]) -> None:
    (own,) = named(spans, "round")
    alone, linked = named(spans, "joblot.claim")
    assert (alone["links"], linked["links"]) == ([], [own["trace"]])
    alone, linked = named(spans, "joblot.report")
    assert (alone["links"], linked["links"]) == ([], [own["trace"]])


def test_a_verb_that_fails_has_a_span_with_the_error(spans: list[Span]) -> None:
    (failed,) = named(spans, "joblot.pause")
    assert not failed["ok"]
    assert failed["events"] == ["exception"]


def test_joblot_does_not_import_opentelemetry_itself(tmp_path: Path) -> None:
    code = (
        f"import sys; from joblot.standalone import setup; setup(path={str(tmp_path / 'x')!r});"
        "import joblot; joblot.claim, joblot.report, joblot.submit;"
        "print(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_program_that_only_imports_the_api_is_not_traced() -> None:
    """As the newest clients of Redis do; each report would read the trace of its job."""
    code = (
        "import opentelemetry.trace; from joblot import telemetry;"
        "print(telemetry.is_traced(), telemetry.traceparent())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False None\n"
