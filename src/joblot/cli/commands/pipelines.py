"""`joblot pipelines` and `joblot edit-pipeline`: limits that all jobs of a pipeline share."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text
from joblot.cli.ledger import Row, open_ledger
from joblot.cli.options import AsJson, Db, Policies, Reason, Url, policy_of
from joblot.cli.printable import printable, say_json
from joblot.errors import InvalidInput
from joblot.shown import counted


def pipelines(*, as_json: AsJson = False, db: Db = None, url: Url = None) -> None:
    """List the pipelines that have a rate limit, or a limit of items in flight."""
    with open_ledger(db, url) as ledger:
        found = ledger.pipelines()
    if as_json:
        say_json(found)
        return
    for one in found:
        text.out().print(_sentence(one), soft_wrap=True)
    if not found:
        text.out().print("no pipeline has a limit")


def edit_pipeline(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE")],
    *,
    policy: Policies = None,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Change the limits that all jobs of a pipeline share, also while they run. null removes one.

    They are rate_items_max items in any rate_seconds, and in_flight_items_max.
    """
    changes = policy_of(policy)
    if not changes:
        raise InvalidInput("expected something to change: --policy NAME=VALUE")
    with open_ledger(db, url) as ledger:
        edited = ledger.edit_pipeline(pipeline, changes, reason=reason)
    text.out().print(_sentence(edited), soft_wrap=True)


def _sentence(one: Row) -> str:
    policy, limits = one["policy"], []
    if policy["rate_items_max"] is not None:
        items = counted(policy["rate_items_max"], "item")
        limits.append(f"gives out at most {items} in {policy['rate_seconds']:g} s")
    if policy["in_flight_items_max"] is not None:
        items = counted(policy["in_flight_items_max"], "item")
        limits.append(f"may have {items} in flight, and has {one['in_flight']:,}")
    return f"pipeline {printable(one['pipeline'])} {'; '.join(limits) or 'has no limit'}"
