"""Write the tables and the chart of docs/explanation/beside.md from bench/results/beside.json.

python -m bench.beside.page
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bench.beside.tools import TOOLS
from bench.charts import bars
from bench.figures import KEPT, ROOT

PATH = KEPT / "beside.json"
PAGE = ROOT / "docs" / "explanation" / "beside.md"
CHART = ROOT / "docs" / "images" / "beside.svg"
BEGIN, END = "<!-- tables: python -m bench.beside.page -->", "<!-- end of the tables -->"
RATES = ("tool", "items", "seconds", "items/s", "CPU ms/item", "peak MiB", "load")
KILLS = ("tool", "killed", "it then", "outputs then", "called again", "calls repeated", "lost")
HOW = {"killed": "has ended", "ended": "goes on", "failed": "fails", "hangs": "hangs"}

Found = dict[str, Any]


def main() -> None:
    document = json.loads(PATH.read_text())
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(tables(document)) + f"\n\n{END}{after}")
    measured = document["measured"]
    named = {one.title.replace("`", ""): measured[one.name]["waiting"] for one in TOOLS}
    rows = [(title, one["CPU ms/item"]) for title, one in named.items()]
    bars(
        CHART,
        "Processor time of an item of 20 ms",
        "CPU ms per item",
        [(title, value, value, value) for title, value in rows],
    )


def tables(document: Found) -> Iterator[str]:
    measured, about = document["measured"], document["about"]
    versions = measured["versions"]
    yield f"Measured at commit {about['commit']}, with joblib {versions['joblib']}, Dask"
    yield f"{versions['dask']} and GNU parallel {versions['parallel']}."
    for function, title in (("trivial", "Trivial items"), ("waiting", "Items of 20 ms")):
        workers = measured[TOOLS[0].name][function]["workers"]
        yield from ("", f"### {title}, {workers} workers", "", _row(RATES), _line(RATES))
        for tool in TOOLS:
            one = measured[tool.name][function]
            yield _row(
                (
                    tool.title,
                    f"{one['items']:,}",
                    f"{one['seconds']:,.1f}",
                    f"{one['items/s']:,}",
                    f"{one['CPU ms/item']:.2f}",
                    f"{one['peak MiB']:,}",
                    str(one["load"]),
                )
            )
    items = measured[TOOLS[0].name]["kill main"]["items"]
    yield from ("", f"### A SIGKILL after half of {items:,} items", "", _row(KILLS), _line(KILLS))
    for tool in TOOLS:
        for whom in ("main", "worker"):
            one = measured[tool.name][f"kill {whom}"]
            again = one["called again"]
            yield _row(
                (
                    tool.title,
                    "the main process" if whom == "main" else "a worker",
                    HOW[one["the killed command"]],
                    f"{one['outputs then']:,}",
                    f"{again} ×" if again else "no",
                    f"{one['repeated']:,}",
                    f"{one['lost at the end']:,}",
                )
            )


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _line(columns: tuple[str, ...]) -> str:
    return "|" + "---|" * len(columns)


if __name__ == "__main__":
    main()
