"""The files in deploy/ name what exists: commands, options, variables, probes, each other."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from joblot.cli.app import app
from tests.meta.sources import ROOT, python_files

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").iterdir())
PROBES = {"/healthz", "/readyz"}

Node = dict[str, Any]


def objects() -> list[Node]:
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text("utf-8"))]


def services() -> dict[str, Node]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"])


def inside(node: Any, name: str) -> Iterator[Any]:
    """Every value of this name, anywhere below."""
    if isinstance(node, dict):
        yield from ([node[name]] if name in node else [])
        for child in node.values():
            yield from inside(child, name)
    elif isinstance(node, list):
        for child in node:
            yield from inside(child, name)


def commands() -> Iterator[list[str]]:
    """Every `joblot` command that the files run, without the program's name."""
    for containers in inside(objects(), "containers"):
        yield from (list(one["args"]) for one in containers)
    for service in services().values():
        if service["image"] == "joblot":
            yield list(service["command"])
    for unit in UNITS:
        yield from (
            line.split()
            for line in re.findall(r"/opt/joblot/bin/joblot ([^>\n']+)", unit.read_text())
        )
    yield ["serve", "--host", "0.0.0.0"]


def wrong(command: list[str]) -> list[str]:
    """What the command line does not know."""
    name, *arguments = command
    known = get_command(app).commands  # type: ignore[attr-defined]
    if name not in known:
        return [name]
    options = {option for param in known[name].params for option in param.opts}
    return [one for one in arguments if one.startswith("-") and one not in options]


def test_every_command_and_option_exists() -> None:
    found = list(commands())
    assert len(found) == 11
    assert {" ".join(one): wrong(one) for one in found if wrong(one)} == {}
    assert wrong(["serve", "--prot", "1"]) == ["--prot"]


def test_the_image_starts_what_is_checked_here() -> None:
    lines = (DEPLOY / "Containerfile").read_text("utf-8").splitlines()
    assert 'ENTRYPOINT ["joblot"]' in lines
    assert 'CMD ["serve", "--host", "0.0.0.0"]' in lines
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert lines.index("USER 10001") < lines.index('ENTRYPOINT ["joblot"]')


def test_every_variable_is_one_that_joblot_reads() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    named = {name for path in files for name in re.findall(r"JOBLOT_[A-Z_]+", path.read_text())}
    code = "".join(path.read_text("utf-8") for path in python_files("src"))
    assert named - {"JOBLOT_WORK"} == {name for name in named if f'"{name}"' in code}


def test_every_probe_asks_a_health_check() -> None:
    paths = {probe["path"] for probe in inside(objects(), "httpGet")}
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert paths | set(re.findall(r"localhost:8642(/\w+)", text)) == PROBES


def test_the_objects_of_kubernetes_refer_to_each_other() -> None:
    by_kind: dict[str, list[Node]] = {}
    for one in objects():
        by_kind.setdefault(one["kind"], []).append(one)
    assert set(by_kind) == {"CronJob", "Deployment", "Job", "PodDisruptionBudget", "Service"}
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in by_kind["Deployment"]]
    for one in by_kind["Deployment"]:
        assert one["spec"]["selector"]["matchLabels"] in labels
    for service in by_kind["Service"]:
        assert service["spec"]["selector"] in labels
    for budget in by_kind["PodDisruptionBudget"]:
        assert budget["spec"]["selector"]["matchLabels"] in labels
    urls = [
        v["value"]
        for env in inside(objects(), "env")
        for v in env
        if v.get("value", "")[:4] == "http"
    ]
    assert urls == [f"http://{service['metadata']['name']}" for service in by_kind["Service"]]
    for pod in [*inside(by_kind["Deployment"], "template")]:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        mounts = {m["name"] for ms in inside(spec, "volumeMounts") for m in ms}
        assert mounts == {volume["name"] for volume in spec.get("volumes", [])}


def test_the_services_of_compose_refer_to_each_other() -> None:
    whole = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    named = {name for one in services().values() for name in one.get("depends_on", {})}
    assert named <= set(services())
    mounted = {v.partition(":")[0] for one in services().values() for v in one.get("volumes", [])}
    assert mounted == set(whole["volumes"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    joblot = str(Path(sys.executable).parent / "joblot")
    for unit in UNITS:
        text = unit.read_text("utf-8").replace("/opt/joblot/bin/joblot", joblot)
        (tmp_path / unit.name).write_text(text.replace("User=joblot", "User=daemon"), "utf-8")
    names = [str(tmp_path / unit.name.replace("@.", "@photos.")) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "joblot" in line]
    assert (done.returncode, said) == (0, [])


def test_the_page_of_sizing_is_made_from_the_results() -> None:
    made = runpy.run_path(str(ROOT / "docs/make_sizing.py"))["page"]()
    written = (ROOT / "docs/explanation/sizing.md").read_text(encoding="utf-8")
    assert written == made, "run `python docs/make_sizing.py`"
