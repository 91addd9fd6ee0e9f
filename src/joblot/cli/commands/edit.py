"""`joblot edit`: a job's name and policy, while it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text
from joblot.cli.ledger import open_ledger
from joblot.cli.options import Db, JobId, Policies, Reason, Url, policy_of
from joblot.errors import InvalidInput


def edit(
    job: JobId,
    *,
    name: Annotated[str | None, typer.Option("--name", help="The job's new name.")] = None,
    policy: Policies = None,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Change a job's name or policy, also while it runs. null restores a setting's default."""
    changes = policy_of(policy)
    if name is None and not changes:
        raise InvalidInput("expected something to change: --policy NAME=VALUE or --name")
    with open_ledger(db, url) as ledger:
        ledger.edit(job, name=name, policy=changes or None, reason=reason)
    text.out().print(f"job {job}: saved")
