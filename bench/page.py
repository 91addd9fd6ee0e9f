"""Write bench/results/summary.json, and the table of docs/explanation/benchmarks.md from it.

    python bench/page.py

Exits with 1 if a figure misses its bound; the table shows it either way. Of results that are
elsewhere it only says which figures miss their bound.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from figures import KEPT, RESULTS, ROOT

PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
BEGIN, END = "<!-- table: python bench/page.py -->", "<!-- end of the table -->"


def main() -> int:
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    documents.pop("summary", None)
    figures = [one for document in documents.values() for one in document["figures"]]
    (RESULTS / "summary.json").write_text(json.dumps(figures, indent=1) + "\n")
    if RESULTS == KEPT:
        _write(documents)
    for one in figures:
        if not one["ok"]:
            print(f"missed: {one['figure']}: {one['value']}, must {one['must']}")
    return 0 if all(one["ok"] for one in figures) else 1


def _write(documents: dict[str, Any]) -> None:
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    table = "\n\n".join("\n".join(_table(document)) for document in documents.values())
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")


def _table(document: dict[str, Any]) -> Iterator[str]:
    about = document["about"]
    yield f"`python {about['command']}`, commit {about['commit']}"
    yield ""
    yield "| figure | median | range | must | |"
    yield "|---|---|---|---|---|"
    for one in document["figures"]:
        spread = f"{one['low']:g} to {one['high']:g}"
        yield f"| {one['figure']} | {one['value']:g} | {spread} | {one['must']} | {_verdict(one)} |"


def _verdict(one: dict[str, Any]) -> str:
    """`ok` allows for noise: one round met the bound. The table also says if the median did."""
    sign, bound = one["must"].split()
    median_holds = one["value"] >= float(bound) if sign == ">=" else one["value"] <= float(bound)
    if median_holds:
        return "holds"
    return "missed by the median, not by every round" if one["ok"] else "**missed**"


if __name__ == "__main__":
    sys.exit(main())
