"""Write the tables and charts of docs/explanation/arena.md from bench/results/arena.json.

python -m bench.arena.page
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from bench.arena.plan import KEYS
from bench.figures import KEPT, ROOT
from bench.strategies import BY_KEY, LIMIT

PAGE = ROOT / "docs" / "explanation" / "arena.md"
IMAGES = ROOT / "docs" / "images"
TABLE = re.compile(
    r"<!-- table (\w+): python -m bench\.arena\.page -->\n.*?<!-- end of the table -->", re.DOTALL
)
CENTRE = "32 handlers, 1 jobs, 16 a batch"
COMMITS = {"disk": "the disk's own commit", "2 ms": "2 ms commits"}
VARIED = {
    "1 handler": "1 handlers, 1 jobs, 16 a batch",
    "8 handlers": "8 handlers, 1 jobs, 16 a batch",
    "32 handlers": CENTRE,
    "on 32 jobs": "32 handlers, 32 jobs, 16 a batch",
    "1 a batch": "32 handlers, 1 jobs, 1 a batch",
    "64 a batch": "32 handlers, 1 jobs, 64 a batch",
}
Document = Mapping[str, Any]
Rows = Iterator[Sequence[str]]


def main() -> int:
    document = json.loads((KEPT / "arena.json").read_text())
    PAGE.write_text(filled(PAGE.read_text(), document))
    _charts(document["measured"])
    return 0


def filled(page: str, document: Document) -> str:
    """The page with its tables written anew."""

    def table(found: re.Match[str]) -> str:
        text = "\n".join(_lines(TABLES[found[1]](document)))
        return (
            f"<!-- table {found[1]}: python -m bench.arena.page -->\n\n{text}\n\n"
            "<!-- end of the table -->"
        )

    return TABLE.sub(table, page)


def _lines(rows: Rows) -> Iterator[str]:
    head = next(rows)
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _name(key: str) -> str:
    name = "limit" if key == LIMIT.key else key
    text = f"{name} · {BY_KEY[key].what}"
    return f"**{text}**" if key.startswith("J") else text


def _figures(document: Document) -> Rows:
    yield "figure", "median", "range", "must", ""
    for one in document["figures"]:
        spread = f"{one['low']:g} to {one['high']:g}"
        yield one["figure"], f"{one['value']:g}", spread, one["must"], _verdict(one)


def _verdict(one: Mapping[str, Any]) -> str:
    sign, bound = one["must"].split()
    holds = one["value"] >= float(bound) if sign == ">=" else one["value"] <= float(bound)
    if holds:
        return "holds"
    return "missed by the median, not by every round" if one["ok"] else "**missed**"


def _centre(document: Document) -> Rows:
    rates = document["measured"]["rates"]
    yield (
        "",
        *(f"batches/s, {what}" for what in COMMITS.values()),
        "CPU ms of a batch, client + server",
        "p50 ms",
        "p99 ms",
        "relative to J, 2 ms",
    )
    cell = f"{CENTRE}, 2 ms"
    slow = rates[cell]
    for key in (LIMIT.key, *KEYS):
        client, server, p50, p99 = (
            _of(rates, cell, key, name, digits)
            for name, digits in (("client_ms", 2), ("server_ms", 2), ("p50_ms", 1), ("p99_ms", 1))
        )
        yield (
            _name(key),
            *(_of(rates, f"{CENTRE}, {commit}", key, "batches_per_second") for commit in COMMITS),
            f"{client} + {server}",
            p50,
            p99,
            f"{_ratio(slow[key], slow['J']):.2f}" if key in slow else "–",
        )


def _varied(document: Document, name: str, digits: int) -> Rows:
    """At both commit latencies, as "disk · 2 ms"."""
    rates = document["measured"]["rates"]
    yield "", *VARIED
    for key in (LIMIT.key, *KEYS):
        yield (
            _name(key),
            *(
                " · ".join(_of(rates, f"{cell}, {commit}", key, name, digits) for commit in COMMITS)
                for cell in VARIED.values()
            ),
        )


def _items(document: Document) -> Rows:
    rates = document["measured"]["rates"]
    sizes = {1: VARIED["1 a batch"], 16: CENTRE, 64: VARIED["64 a batch"]}
    yield "", *(f"items/s, {size} a batch" for size in sizes)
    for key in (LIMIT.key, *KEYS):
        row = [_name(key)]
        for size, cell in sizes.items():
            both = [rates.get(f"{cell}, {commit}", {}).get(key) for commit in COMMITS]
            row.append(
                " · ".join(
                    f"{size * _mid(found, 'batches_per_second'):,.0f}" if found else "–"
                    for found in both
                )
            )
        yield row


def _cost(document: Document) -> Rows:
    rates = document["measured"]["rates"]
    yield "", "WAL bytes of an item", "dead rows of an item", "bytes on disk of an item"
    for key in (LIMIT.key, *KEYS):
        columns = (("wal_per_item", 0), ("dead_per_item", 2), ("disk_per_item", 0))
        yield (
            _name(key),
            *(_of(rates, f"{CENTRE}, disk", key, name, digits) for name, digits in columns),
        )


def _duplicates(document: Document) -> Rows:
    found = document["measured"]["duplicates"]
    shares = sorted(found, key=float)
    yield (
        "",
        *(f"count error, {100 * float(share):g} % twice" for share in shares),
        "told too little, at most",
        "told too much, at most",
        "final events",
    )
    for key in KEYS:
        runs = [found[share][key] for share in shares if key in found[share]]
        if not runs:
            continue
        finals = sorted({run["finals"] for run in runs})
        yield (
            _name(key),
            *(_signed(run["error"]) for run in runs),
            f"{max(run['below'] for run in runs):,}",
            f"{max(run['above'] for run in runs):,}",
            str(finals[0]) if len(finals) == 1 else f"{finals[0]} to {finals[-1]}",
        )


def _lags(document: Document) -> Rows:
    yield "", "lag p50, ms", "lag p99, ms", "a report's p50, ms", "jobs that ended", "final events"
    for key in KEYS:
        runs = document["measured"].get("lags", {}).get(key, [])
        if not runs:
            continue
        lags = sorted(lag for run in runs for lag in run["lags_ms"])
        jobs = sum(run["jobs"] for run in runs)
        yield (
            _name(key),
            f"{lags[len(lags) // 2]:.1f}" if lags else "–",
            f"{lags[min(len(lags) - 1, int(0.99 * len(lags)))]:.1f}" if lags else "–",
            f"{median(run['p50_ms'] for run in runs):.1f}",
            f"{sum(run['finished'] for run in runs)} of {jobs}",
            str(sum(run["finals"] for run in runs)),
        )


def _deaths(document: Document) -> Rows:
    yield "", "deaths", "right afterwards", "wrong: where, with which batch, what is left"
    for key in KEYS:
        kills = [one for one in document["measured"]["kills"] if one["key"] == key]
        if not kills:
            continue
        wrong = [one for one in kills if not one["right"]]
        said = "; ".join(
            f"{one['point'].removeprefix('arena: ')}, {one['batch']}: {_left(one)}" for one in wrong
        )
        yield _name(key), str(len(kills)), str(len(kills) - len(wrong)), said or "–"


def _left(one: Mapping[str, Any]) -> str:
    ended = "ended" if one["finished"] else "never ends"
    return f"error {_signed(one['error'])}, {ended}, {one['finals']} final events"


def _others(document: Document) -> Rows:
    yield "", "cancelled, then the last results", "ended, then a stale save by other code"
    for one in document["measured"]["other writers"]:
        saved = f"{one['saved_status']}, error {_signed(one['saved_error'])}"
        kept = f"{one['cancelled_status']}, {one['cancelled_finals']} final events"
        yield _name(one["key"]), kept, saved


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _mid(rows: Sequence[Mapping[str, float]], name: str) -> float:
    return median(row[name] for row in rows)


def _ratio(of: Sequence[Mapping[str, float]], to: Sequence[Mapping[str, float]]) -> float:
    return median(
        one["batches_per_second"] / other["batches_per_second"]
        for one, other in zip(of, to, strict=False)
    )


def _of(rates: Document, cell: str, key: str, name: str, digits: int = 0) -> str:
    """The median; a dash for what was not measured."""
    found = rates.get(cell, {}).get(key)
    return f"{_mid(found, name):,.{digits}f}" if found else "–"


TABLES: dict[str, Callable[[Document], Rows]] = {
    "figures": _figures,
    "centre": _centre,
    "rates": lambda document: _varied(document, "batches_per_second", 0),
    "p99": lambda document: _varied(document, "p99_ms", 0),
    "items": _items,
    "cost": _cost,
    "duplicates": _duplicates,
    "lags": _lags,
    "deaths": _deaths,
    "others": _others,
}


def _charts(measured: Document) -> None:
    from bench.charts import bars

    for commit, name in (("disk", "arena_disk"), ("2 ms", "arena_2ms")):
        rates = measured["rates"].get(f"{CENTRE}, {commit}", {})
        rows = [
            (_label(key), _mid(found, "batches_per_second"), *_range(found))
            for key in (LIMIT.key, *KEYS)
            if (found := rates.get(key))
        ]
        if not rows:
            continue
        title = f"32 handlers report to one job, {COMMITS[commit]}"
        bars(IMAGES / f"{name}.svg", title, "batches of 16 results per second", rows)


def _label(key: str) -> str:
    what = BY_KEY[key].what
    return (
        what if key.startswith("J") else f"{key} {what}" if key != LIMIT.key else f"limit: {what}"
    )


def _range(found: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    rates = [row["batches_per_second"] for row in found]
    return min(rates), max(rates)


if __name__ == "__main__":
    sys.exit(main())
