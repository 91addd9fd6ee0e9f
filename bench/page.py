"""Write bench/results/summary.json, and from it the tables and charts of docs/performance.md
and the table of docs/how-to/celery.md.

    python bench/page.py [--check]

Exits with 1 if a figure misses its bound; the page shows it either way. Of results that are
elsewhere it only says which figures miss their bound. With `--check`, writes nothing, and exits
with 1 if the page or the summary is not what the results say, or if a missed figure has no reason
in limits.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from figures import KEPT, RESULTS
from limits import LIMITS

DOCS = KEPT.parents[1] / "docs"
PAGE = DOCS / "performance.md"
CELERY = DOCS / "how-to" / "celery.md"
SUMMARY = RESULTS / "summary.json"
END = "<!-- end of the table -->"
Json = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    checking = parser.parse_args().check
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    documents.pop("summary", None)
    figures = [one for document in documents.values() for one in document["figures"]]
    summary = json.dumps(figures, indent=1) + "\n"
    if RESULTS != KEPT:
        SUMMARY.write_text(summary)
        return _missed(figures)
    page = _filled(PAGE.read_text(), "misses", "\n".join(_misses(figures)))
    tables = "\n\n".join("\n".join(_table(document)) for document in documents.values())
    page = _filled(page, "table", tables)
    celery = _filled(CELERY.read_text(), "table", "\n".join(_table(documents["fan_out"])))
    written = {PAGE: page, CELERY: celery, SUMMARY: summary}
    if checking:
        return int(any(path.read_text() != text for path, text in written.items()))
    for path, text in written.items():
        path.write_text(text)
    import growth_charts

    growth_charts.draw()
    return _missed(figures)


def _missed(figures: list[Json]) -> int:
    for one in figures:
        if not one["ok"]:
            print(f"missed: {one['figure']}: {_measured(one)}, must {one['must']}")
    return 0 if all(one["ok"] for one in figures) else 1


def _filled(page: str, name: str, text: str) -> str:
    begin = f"<!-- {name}: python bench/page.py -->"
    before, rest = page.split(begin)
    after = rest.split(END, 1)[1]
    return f"{before}{begin}\n\n{text}\n\n{END}{after}"


def _misses(figures: list[Json]) -> Iterator[str]:
    yield "| figure | measured | must | the limit, and what was tried |"
    yield "|---|---|---|---|"
    for one in figures:
        if not one["ok"]:
            limit = next(limit for part, limit in LIMITS.items() if part in one["figure"])
            number = int(limit.decision[:4])
            yield (
                f"| {one['figure']} | {_measured(one)} | {one['must']} | {limit.why} "
                f"([decision {number}](decisions/{limit.decision}.md)) |"
            )


def _measured(one: Json) -> str:
    if one["low"] == one["high"]:
        return f"{one['value']:g}"
    return f"{one['value']:g} ({one['low']:g} to {one['high']:g})"


def _table(document: Json) -> Iterator[str]:
    about = document["about"]
    yield f"`python {about['command']}`, commit {about['commit']}"
    yield ""
    yield "| figure | median | range | must | |"
    yield "|---|---|---|---|---|"
    for one in document["figures"]:
        spread = f"{one['low']:g} to {one['high']:g}"
        yield f"| {one['figure']} | {one['value']:g} | {spread} | {one['must']} | {_verdict(one)} |"


def _verdict(one: Json) -> str:
    """`ok` allows for noise: one round met the bound. The table also says if the median did."""
    sign, bound = one["must"].split()
    median_holds = one["value"] >= float(bound) if sign == ">=" else one["value"] <= float(bound)
    if median_holds:
        return "holds"
    return "missed by the median, not by every round" if one["ok"] else "**missed**"


if __name__ == "__main__":
    sys.exit(main())
