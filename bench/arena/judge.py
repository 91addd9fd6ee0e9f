"""The figures of the arena that have a bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bench.arena.drains import Drained
from bench.arena.kills import Killed
from bench.arena.rates import Cell, Rate
from bench.figures import Figure, figure
from bench.strategies import LIMIT

LEDGER = ("J", "Jg")
CENTRE = Cell()
Rates = Mapping[Cell, Mapping[str, Sequence[Rate]]]


def figures(
    measured: Rates,
    drained: Mapping[float, Sequence[Drained]],
    lags: Mapping[str, Sequence[Drained]],
    kills: Sequence[Killed],
) -> list[Figure]:
    return [
        *_against_counters(measured[CENTRE]),
        *_hot_job(measured),
        *_against_the_limit(measured),
        *_lag(lags),
        *_exact(measured, drained, lags, kills),
    ]


def _against_counters(centre: Mapping[str, Sequence[Rate]]) -> Iterator[Figure]:
    about = "2 ms commits, 32 handlers, 16 a batch"
    for name, key, other, must in (
        ("joblot, called directly / A2", "J", "A2", ">= 6"),
        ("joblot, by group commit / A2", "Jg", "A2", ">= 10"),
        ("joblot, called directly / A1", "J", "A1", ">= 7"),
    ):
        yield figure(f"{name}, {about}", ratios(centre[key], centre[other]), must)


def _hot_job(measured: Rates) -> Iterator[Figure]:
    for cell, by_key in measured.items():
        spread = measured.get(replace(cell, jobs=32), {})
        if cell == replace(CENTRE, delay=cell.delay) and "J" in by_key and "J" in spread:
            name = f"one hot job / 32 jobs, 32 handlers, {_commit(cell)}"
            yield figure(name, ratios(by_key["J"], spread["J"]), ">= 0.95")


def _against_the_limit(measured: Rates) -> Iterator[Figure]:
    for size in (16, 64, 256):
        by_key = measured.get(Cell(size=size, delay=0), {})
        if "J" in by_key and LIMIT.key in by_key:
            name = f"report of {size} / bare insert of {size}, 32 handlers, throughput"
            yield figure(name, ratios(by_key["J"], by_key[LIMIT.key]), ">= 0.5")


def _lag(lags: Mapping[str, Sequence[Drained]]) -> Iterator[Figure]:
    for key, name in (("J", "called directly"), ("Jg", "by group commit")):
        found = [
            percentile(run.lags_ms, 0.99) / run.p50_ms for run in lags.get(key, []) if run.lags_ms
        ]
        if found:
            what = "lag from the last commit to final, p99 / a report's p50"
            yield figure(f"{what}, {name}", found, "<= 3")


def _exact(
    measured: Rates,
    drained: Mapping[float, Sequence[Drained]],
    lags: Mapping[str, Sequence[Drained]],
    kills: Sequence[Killed],
) -> Iterator[Figure]:
    """Exact in every run: the worst of them counts, not the median."""
    ours = [one for runs in drained.values() for one in runs if one.key in LEDGER]
    ours += [one for key in LEDGER for one in lags.get(key, [])]
    errors = [abs(one.error) + one.below + one.above for one in ours]
    errors += [abs(one.error) for one in kills if one.key in LEDGER]
    errors += [
        abs(one.error) for by_key in measured.values() for key in LEDGER
        for one in by_key.get(key, [])
    ]  # fmt: skip
    yield figure(f"joblot's largest count error in {len(errors)} runs", [max(errors)], "<= 0")
    missed = [abs(one.jobs - one.finals) + one.jobs - one.finished for one in ours]
    missed += [abs(1 - one.finals) + (not one.finished) for one in kills if one.key in LEDGER]
    jobs = sum(one.jobs for one in ours) + len(missed) - len(ours)
    yield figure(
        f"joblot's jobs whose end was not announced exactly once, of {jobs}", [sum(missed)], "<= 0"
    )


def ratios(of: Sequence[Rate], to: Sequence[Rate]) -> list[float]:
    """By round."""
    return [
        one.batches_per_second / other.batches_per_second
        for one, other in zip(of, to, strict=False)
    ]


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _commit(cell: Cell) -> str:
    return "2 ms commits" if cell.delay else "the disk's commits"
