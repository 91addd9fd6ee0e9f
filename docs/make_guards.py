"""Write docs/explanation/guards.md from the table of guards: `python docs/make_guards.py`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).parent / "explanation/guards.md"

HEAD = """# The guards, and which test misses each

What keeps the ledger right when two meet. `make mutants` takes each one out of a copy of joblot and
runs the test beside it, which must turn red; on an untouched copy all must be green first. A name
in brackets, `scene-verb-verb-database`, is a test of `tests/interleave/test_pairs.py`, which tries
the orders of two verbs' statements: see [every order](../how-to/interleave.md). Made by
`python docs/make_guards.py` from `tests/interleave/guards/`.

| guard | in `ledger/` | missed by |
|---|---|---|
"""


def page() -> str:
    sys.path.insert(0, str(ROOT))
    from tests.interleave.guards import GUARDS  # noqa: PLC0415 (found by the line above)

    rows = (f"| {g.kept} | `{g.file}` | `{shortened(g.caught_by)}` |" for g in GUARDS)
    return HEAD + "\n".join(rows) + "\n"


def shortened(test: str) -> str:
    """`interleave/test_pairs.py::test_a_pair[last-cancel-report-sqlite]`, without what is usual."""
    return test.removeprefix("interleave/test_pairs.py::test_a_pair")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
