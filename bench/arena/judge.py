"""The figures of the arena that have a bound, from what was measured, as it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.arena.rates import Cell
from bench.figures import Figure, figure
from bench.strategies import LIMIT

LEDGER = ("J", "Jt")
CENTRE = Cell()
Json = Mapping[str, Any]


def figures(measured: Json) -> list[Figure]:
    rates = measured.get("rates", {})
    return [
        *_against_counters(rates.get(str(CENTRE), {})),
        *_hot_job(rates),
        *_against_the_limit(rates),
        *_lag(measured.get("lags", {})),
        *_exact(measured),
    ]


def _against_counters(centre: Json) -> Iterator[Figure]:
    about = "2 ms commits, 32 handlers, 16 a batch"
    for name, key, other, must in (
        ("joblot, called directly / A2", "J", "A2", ">= 6"),
        ("joblot, in threads / A2", "Jt", "A2", ">= 10"),
        ("joblot, called directly / A1", "J", "A1", ">= 7"),
    ):
        if key in centre and other in centre:
            yield figure(f"{name}, {about}", ratios(centre[key], centre[other]), must)


def _hot_job(rates: Json) -> Iterator[Figure]:
    for delay, commits in ((2_000, "2 ms commits"), (0, "the disk's commits")):
        one_job = replace(CENTRE, delay=delay)
        hot = rates.get(str(one_job), {}).get("J")
        spread = rates.get(str(replace(one_job, jobs=32)), {}).get("J")
        if hot and spread:
            name = f"one hot job / 32 jobs, 32 handlers, {commits}"
            yield figure(name, ratios(hot, spread), ">= 0.95")


def _against_the_limit(rates: Json) -> Iterator[Figure]:
    for size in (16, 64, 256):
        by_key = rates.get(str(Cell(size=size, delay=0)), {})
        if "J" in by_key and LIMIT.key in by_key:
            name = f"report of {size} / bare insert of {size}, 32 handlers, throughput"
            yield figure(name, ratios(by_key["J"], by_key[LIMIT.key]), ">= 0.5")


def _lag(lags: Json) -> Iterator[Figure]:
    for key, name in (("J", "called directly"), ("Jt", "in threads")):
        found = [
            percentile(run["lags_ms"], 0.99) / run["p50_ms"]
            for run in lags.get(key, [])
            if run["lags_ms"]
        ]
        if found:
            what = "lag from the last commit to final, p99 / a report's p50"
            yield figure(f"{what}, {name}", found, "<= 3")


def _exact(measured: Json) -> Iterator[Figure]:
    """In every run: the worst of them counts, not the median."""
    runs = [of[key] for of in measured.get("duplicates", {}).values() for key in LEDGER]
    runs += [run for key in LEDGER for run in measured.get("lags", {}).get(key, [])]
    kills = [one for one in measured.get("kills", []) if one["key"] in LEDGER]
    errors = [abs(one["error"]) + one["below"] + one["above"] for one in runs]
    errors += [abs(one["error"]) for one in kills]
    for by_key in measured.get("rates", {}).values():
        errors += [abs(one["error"]) for key in LEDGER for one in by_key.get(key, [])]
    if errors:
        name = f"joblot's largest count error in {len(errors)} runs"
        yield figure(name, [max(errors)], "<= 0")
    missed = [abs(one["jobs"] - one["finals"]) + one["jobs"] - one["finished"] for one in runs]
    missed += [abs(1 - one["finals"]) + (not one["finished"]) for one in kills]
    if missed:
        jobs = sum(one["jobs"] for one in runs) + len(kills)
        name = f"joblot's jobs whose end was not announced exactly once, of {jobs}"
        yield figure(name, [sum(missed)], "<= 0")


def ratios(of: Sequence[Json], to: Sequence[Json]) -> list[float]:
    """By round."""
    return [
        float(one["batches_per_second"]) / float(other["batches_per_second"])
        for one, other in zip(of, to, strict=False)
    ]


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
