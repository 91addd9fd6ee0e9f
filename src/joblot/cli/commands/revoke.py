"""`joblot revoke-worker` and `joblot restore-worker`: refuse a worker, and let it work again."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text
from joblot.cli.ledger import Ledger, open_ledger
from joblot.cli.options import ID_MAX, Db, Url
from joblot.cli.printable import printable
from joblot.errors import InvalidInput
from joblot.shown import counted

Instance = Annotated[
    str, typer.Argument(metavar="WORKER", help="Its name, as `joblot workers` lists it.")
]
Owner = Annotated[
    int | None,
    typer.Option(
        "--owner",
        metavar="N",
        min=0,
        max=ID_MAX,
        help="The owner of its token, as in `joblot workers --json`, if several have this name.",
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; shown in the list of workers.")
]


def revoke_worker(
    worker: Instance,
    *,
    owner: Owner = None,
    reason: Reason = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Refuse a worker's claims, renewals and reports; what it holds goes back to the queue."""
    with open_ledger(db, url) as ledger:
        released = ledger.revoke_worker(_owner(ledger, worker, owner), worker, reason=reason)
    gave = f"{counted(released, 'item')} went back to the queue"
    text.out().print(f"worker {printable(worker)} was revoked; {gave}", soft_wrap=True)


def restore_worker(
    worker: Instance,
    *,
    owner: Owner = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; logged.")] = "",
    db: Db = None,
    url: Url = None,
) -> None:
    """Let a worker that was revoked work again. It ended when it was refused: start it again."""
    with open_ledger(db, url) as ledger:
        ledger.restore_worker(_owner(ledger, worker, owner), worker, reason=reason)
    text.out().print(f"worker {printable(worker)} may work again", soft_wrap=True)


def _owner(ledger: Ledger, worker: str, owner: int | None) -> int:
    """The owner of the only worker of this name; 0 if none is listed, which the verb refuses.

    Raises InvalidInput if there are several.
    """
    if owner is not None:
        return owner
    found = [one["owner"] for one in ledger.workers() if one["instance"] == worker]
    if len(found) > 1:
        owners = ", ".join(map(str, sorted(found)))
        raise InvalidInput(
            f"--owner: {len(found)} workers have this name; expected one of {owners}"
        )
    return int(found[0]) if found else 0
