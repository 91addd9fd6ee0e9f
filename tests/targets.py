"""Which recipe of the Makefile runs a test: decided by the test's folder.

Every test belongs to one target, which is also a marker: `make test` runs `-m quick`, and
`make test-TARGET` each of the others. A new test falls into the target of its folder; `PLACES`
names folders, files and tests that are not quick, and the longest name that matches decides.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
QUICK = "quick"

PLACES = {
    # Chromium, and all else that shows whether the pages are right.
    "pages": ("web",),
    # Many orders, seeds, threads and hostile values: more than a list of cases holds.
    "proofs": (
        "api/test_fuzz.py",
        "api/test_hostile_values.py",
        "api/test_openapi.py",
        "interleave",
        "ledger/claim/test_candidates.py::test_each_of_jobs_of_different_size_ends_within_its_bound",
        "ledger/claim/test_candidates.py::test_of_50_jobs_against_one_the_one_gets_half_of_the_claims_until_it_is_done",
        "ledger/read/test_eta.py::test_the_ranges_are_right_as_often_as_they_say",
        "ledger/submit/test_keys.py::test_any_order_of_items_is_judged_by_the_set_of_them",
        "ledger/test_model.py",
        "ledger/test_shared_memory.py",
        "races",
        "testing/simulator",
        "testing/test_interleave.py",
        "testing/test_interleave_reduced.py",
        "testing/test_interleave_steps.py",
        "testing/test_interleave_trouble.py",
    ),
    # Commands, servers, brokers and examples as processes of their own, which import joblot first.
    "processes": (
        "bench",
        "cli",
        "contrib",
        "crashes",
        "demo",
        "deploy",
        "dispatch",
        "docs",
        "examples",
        "failures/test_server.py",
        "importing",
        "log_writing",
        "project",
        "server",
        "testing/certify",
        "testing/test_crew.py",
        "testing/test_fixtures.py::test_a_durable_server_keeps_rows_over_a_crash",
        "testing/test_postgres.py",
        "webhooks",
        "worker/test_docs.py",
        "worker/test_over_http.py",
        "worker/test_refused_reports.py",
        "worker/test_supervisor.py",
    ),
    # Minutes, since they wait for real limits, start many processes or measure a large job.
    "slow": (
        "contrib/antenna/test_large_bodies.py",
        "contrib/tasks/test_guide.py",
        "cli/test_certify.py",
        "cli/test_run_broken_off.py",
        "crashes/test_what_is_known.py",
        "delivery",
        "demo/test_demo.py",
        "field_reports",
        "interleave/test_outputs.py",
        "interleave/test_readers.py",
        "interleave/test_triples.py",
        "ledger/read/test_listing.py::test_pages_and_counts_of_many_jobs_read_few_of_them",
        "ledger/read/test_read_costs.py",
        "ledger/db/test_time_limit.py",
        "project/test_processes.py",
        "server/test_memory.py",
        "server/test_strangers.py::test_a_stranger_is_refused_everywhere",
        "web/test_map_of_a_million.py",
        "web/test_soak.py",
        "testing/simulator/test_simulator.py::test_what_fails_is_shrunk_to_a_history_that_replays",
    ),
    # Real brokers, several servers, and processes that are killed.
    "distributed": ("distributed",),
}
TARGETS = (QUICK, *PLACES)
_OF_PLACE = {place: target for target, places in PLACES.items() for place in places}


def target_of(file: str, test: str = "") -> str:
    """The target of a test; `file` is relative to this folder.

    Names are compared part by part: `web` is a folder, and does not match `webhooks`.
    """
    name = test.partition("[")[0]
    folders = [str(parent) for parent in Path(file).parents]
    for place in (f"{file}::{name}", file, *folders):
        if place in _OF_PLACE:
            return _OF_PLACE[place]
    return QUICK


@cache
def named(expression: str) -> frozenset[str]:
    """The targets that `-m` names: one of them, or all but some; none if it names anything else."""
    if expression in TARGETS:
        return frozenset({expression})
    words = expression.split(" and ")
    left_out = {word.removeprefix("not ") for word in words if word.startswith("not ")}
    known = len(left_out) == len(words) and left_out < set(TARGETS)
    return frozenset(set(TARGETS) - left_out) if known else frozenset()


@cache
def targets_in(file: str) -> frozenset[str]:
    """The targets that tests of this file can belong to, without importing it."""
    of_tests = {one for place, one in _OF_PLACE.items() if place.startswith(f"{file}::")}
    text = (HERE / file).read_text(encoding="utf-8")
    marked = {target for target in TARGETS if f"mark.{target}" in text}
    return frozenset({target_of(file)} | of_tests | marked)
