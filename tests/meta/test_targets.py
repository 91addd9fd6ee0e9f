"""Every test belongs to one target, each target has a recipe, and CI runs all of them."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.meta.sources import ROOT, functions
from tests.targets import HERE, PLACES, QUICK, TARGETS, named, target_of, targets_in

RECIPES = {target: "test" if target == QUICK else f"test-{target}" for target in TARGETS}
ON_BOTH_LEGS = "not slow and not distributed"
ALL_OTHERS = f"not {QUICK} and not distributed"


def _recipes() -> dict[str, str]:
    """The lines of each recipe of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE))


def test_each_collected_test_belongs_to_one_target(request: pytest.FixtureRequest):
    for item in request.session.items:
        marked = {mark.name for mark in item.iter_markers()} & set(TARGETS)
        assert len(marked) == 1, f"{item.nodeid} belongs to {sorted(marked)}"


def test_a_file_that_a_target_leaves_out_holds_no_test_of_it(request: pytest.FixtureRequest):
    for item in request.session.items:
        (target,) = {mark.name for mark in item.iter_markers()} & set(TARGETS)
        assert target in targets_in(str(item.path.relative_to(HERE))), item.nodeid


def test_the_longest_place_decides():
    assert target_of("ledger/test_lease.py", "test_anything[sqlite]") == QUICK
    assert target_of("web/test_a_new_page.py", "test_anything") == "pages"
    assert target_of("webhooks/test_anything.py") != "pages"
    assert target_of("web/test_soak.py") == "slow"
    strangers = "server/test_strangers.py"
    assert target_of(strangers, "test_a_stranger_is_refused_everywhere[GET-/]") == "slow"
    assert target_of(strangers, "test_a_stranger_is_refused") == target_of("server/test_new.py")
    assert targets_in(strangers) == {"slow", target_of("server/test_new.py")}


@pytest.mark.parametrize("place", sorted(place for places in PLACES.values() for place in places))
def test_each_place_exists(place: str):
    file, _, test = place.partition("::")
    assert (HERE / file).exists()
    assert not test or f"tests/{place}" in {one.name for one in functions(HERE / file)}


def test_no_place_belongs_to_two_targets():
    places = [place for places in PLACES.values() for place in places]
    assert sorted(places) == sorted(set(places))


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_has_a_marker_and_a_recipe(target: str):
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    options = pyproject["tool"]["pytest"]["ini_options"]
    markers = [line.partition(":")[0] for line in options["markers"]]
    assert target in markers
    assert f"-m {target} " in _recipes()[RECIPES[target]]
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"`make {RECIPES[target]}`" in contributing


def test_an_expression_names_targets_or_anything():
    assert named("slow") == {"slow"}
    assert named(ALL_OTHERS) == set(TARGETS) - {QUICK, "distributed"}
    assert named(ON_BOTH_LEGS) == set(TARGETS) - {"slow", "distributed"}
    for expression in ("", "asyncio", "not asyncio", "slow or pages", "not slow and pages"):
        assert named(expression) == set()


def test_ci_runs_the_quick_tests_last_and_all_others_before():
    assert f'-m "{ALL_OTHERS}"' in _recipes()["test-others"]
    ran = re.findall(r"^make (test\S*)", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)
    assert ran == ["test-others", "test-distributed", "test-newest", "test"]


def test_the_newest_versions_run_all_but_what_is_slow_or_distributed():
    assert f'-m "{ON_BOTH_LEGS}"' in _recipes()["test-both"]
    assert "make test-both" in (ROOT / "scripts/newest").read_text(encoding="utf-8")
    assert "make test-newest" in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
