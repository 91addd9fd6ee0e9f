"""Which functions a project's worker serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from joblot.errors import InvalidInput
from joblot.project.declared_work import handlers_of_project
from joblot.worker.retrying import Retrying

DECLARES = """
from joblot.worker import work


@work("{0}")
def do(payload):
    return payload
"""


@pytest.fixture
def apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, declared: None) -> Path:
    """Two apps; one of them has a `work.py`. Their names are the test's own: modules stay known."""
    monkeypatch.syspath_prepend(tmp_path)
    names = [f"{tmp_path.name}_{app}".replace("-", "_") for app in ("shop", "blog")]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / names[0] / "work.py").write_text(DECLARES.format("shrink"))
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, *names]
    return tmp_path


def served(*pipelines: str) -> set[str]:
    return {one.pipeline for one in handlers_of_project(pipelines, Retrying())}


def test_work_py_of_each_app_is_found(apps: Path) -> None:
    assert served() == {"shrink"}


def test_other_modules_are_named_in_the_settings(apps: Path, settings: Any) -> None:
    elsewhere = f"{apps.name}_elsewhere".replace("-", "_")
    (apps / f"{elsewhere}.py").write_text(DECLARES.format("cdn"))
    settings.JOBLOT_WORK_MODULES = [elsewhere]
    assert served() == {"shrink", "cdn"}
    assert served("cdn") == {"cdn"}


def test_a_pipeline_that_nothing_serves_is_refused(apps: Path) -> None:
    with pytest.raises(InvalidInput, match="--pipeline shrunk: the project serves shrink"):
        served("shrunk")


def test_a_project_that_declares_nothing_is_refused(declared: None) -> None:
    with pytest.raises(InvalidInput, match="@work"):
        served()


@pytest.mark.parametrize("named", ["shop.jobs", [1]])
def test_modules_are_a_list_of_names(settings: Any, declared: None, named: Any) -> None:
    settings.JOBLOT_WORK_MODULES = named
    with pytest.raises(InvalidInput, match="JOBLOT_WORK_MODULES: expected a list"):
        served()


def test_an_error_of_a_module_is_not_hidden(apps: Path, settings: Any) -> None:
    name = f"{apps.name}_broken".replace("-", "_")
    (apps / name).mkdir()
    (apps / name / "__init__.py").touch()
    (apps / name / "work.py").write_text("import no_such_module")
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, name]
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        served()
