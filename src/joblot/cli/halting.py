"""`--halt-after N|P%`: after how many failures a job is halted."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from joblot.errors import InvalidInput

HaltAfter = Annotated[
    str | None,
    typer.Option(
        "--halt-after",
        metavar="N|P%",
        help="Stop once more than N items, or P % of at least 20, have failed.",
        show_default=False,
    ),
]


def halting_of(given: str | None) -> dict[str, Any]:
    """The policy that halts the job. Raises InvalidInput."""
    if given is None:
        return {}
    found = re.fullmatch(r"(\d{1,9})|(\d{1,3}(?:\.\d{1,9})?)\s*%", given.strip())
    if found is None or float(found[2] or 0) > 100:
        raise InvalidInput(
            f"--halt-after: expected a number of items like 10, or a share like 5%, got {given!r}"
        )
    if found[1]:
        return {"halt_failed_items": int(found[1])}
    return {"halt_failed_share": round(float(found[2]) / 100, 12)}
