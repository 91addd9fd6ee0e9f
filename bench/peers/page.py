"""Write the tables of docs/explanation/peers.md from bench/results/peers.json.

python -m bench.peers.page
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bench.figures import RESULTS
from bench.peers.catalogue import BY_NAME
from bench.peers.results import PATH

PAGE = RESULTS.parents[1] / "docs" / "explanation" / "peers.md"
BEGIN, END = "<!-- tables: python -m bench.peers.page -->", "<!-- end of the tables -->"

RATES = (
    "peer",
    "settings",
    "items",
    "items/s",
    "CPU ms/item",
    "WAL bytes/item",
    "joblot beside it: items/s, CPU ms/item",
    "last tenth / first, old snapshot",
    "load",
)
FAULTS = (
    "peer",
    "settings",
    "items",
    "not run",
    "run twice",
    "counted wrongly",
    "callbacks",
    "when they run again",
)

Run = dict[str, Any]


def main() -> None:
    document = json.loads(PATH.read_text())
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(tables(document)) + f"\n\n{END}{after}")


def tables(document: dict[str, Any]) -> Iterator[str]:
    about, runs = document["about"], document["measured"]["runs"]
    yield f"Measured with {about['postgresql']}, Redis {_redis(about['redis'])}, Python"
    yield f"{about['python']}, {about['cores']} cores."
    yield ""
    yield "### Rates and cost"
    yield ""
    yield from _header(RATES)
    for run in _of_kind(runs, "run"):
        yield _row(_rates(run, runs, about["versions"]))
    yield ""
    yield "### After a SIGKILL of all workers at half"
    yield ""
    yield from _header(FAULTS)
    for run in _of_kind(runs, "kill"):
        yield _row(_faults(run, about["versions"]))


def _rates(run: Run, runs: list[Run], versions: dict[str, str]) -> list[str]:
    named = [_peer(run, versions), _settings(run)]
    if "error" in run:
        return [*named, "failed", *[""] * 6]
    beside = _find(runs, "beside", run["peer"])
    joblot = f"{beside['items/s']:,}, {beside['CPU ms/item']:.3f}" if beside else ""
    snapshot = _find(runs, "snapshot", run["peer"], run["variant"])
    tenths = snapshot["last tenth / first"] if snapshot else None
    wal = run["WAL bytes/item"]
    return [
        *named,
        f"{run['items']:,}",
        f"{run['items/s']:,}" + ("" if run["settled"] else ", unfinished"),
        f"{run['CPU ms/item']:.3f}",
        "" if wal is None else f"{wal:,}",
        joblot,
        "" if tenths is None else f"{tenths:.2f}",
        str(run["load"]),
    ]


def _faults(run: Run, versions: dict[str, str]) -> list[str]:
    named = [_peer(run, versions), _settings(run)]
    if "error" in run:
        return [*named, "failed", *[""] * 5]
    proof = run["proof"]
    callbacks = proof["callbacks"]
    fired = "has none" if callbacks is None else str(callbacks)
    if proof["early"]:
        fired += f", {proof['early']} items early"
    return [
        *named,
        f"{run['items']:,}",
        _lost(run),
        f"{proof['run_twice']:,}",
        _miscounted(run),
        fired if callbacks in (None, 1) and not proof["early"] else f"**{fired}**",
        BY_NAME[run["peer"]].recovers,
    ]


def _lost(run: Run) -> str:
    """Items that ran may stay open in the framework's eyes, as if their worker still lived."""
    if lost := run["proof"]["lost"]:
        return f"**{lost:,}**"
    return "0" if run["settled"] else "0, but some stay open"


def _miscounted(run: Run) -> str:
    """A count is judged once the framework has nothing left to do."""
    error = run["count error"]
    if error is None:
        return "see callbacks" if BY_NAME[run["peer"]].calls_back else "keeps no count"
    if not run["settled"]:
        return "not settled"
    return f"**{error:+,}**" if error else "0"


def _peer(run: Run, versions: dict[str, str]) -> str:
    return f"{BY_NAME[run['peer']].title} {versions.get(run['peer'], '')}".strip()


def _settings(run: Run) -> str:
    kind = run["variant"].partition(",")[0]
    return f"{kind}: {run['settings']}" if run["settings"] else kind


def _of_kind(runs: list[Run], kind: str) -> Iterator[Run]:
    return (run for run in runs if run["kind"] == kind)


def _find(runs: list[Run], kind: str, peer: str, variant: str | None = None) -> Run | None:
    found = [run for run in _of_kind(runs, kind) if run["peer"] == peer and "error" not in run]
    return next((run for run in found if variant in (None, run["variant"])), None)


def _header(columns: tuple[str, ...]) -> Iterator[str]:
    yield _row(list(columns))
    yield "|" + "---|" * len(columns)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _redis(version: str) -> str:
    words = [word for word in version.split() if word.startswith("v=")]
    return words[0].removeprefix("v=") if words else ""


if __name__ == "__main__":
    main()
