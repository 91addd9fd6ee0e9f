"""`joblot webhook`: who is told of a job's end over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from joblot.cli import text, verbs
from joblot.cli.database import make_database, open_database
from joblot.cli.exits import Commands
from joblot.cli.options import ID_MAX, AsJson, Db, Limit
from joblot.cli.printable import say, say_json

webhook = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Make, list and end webhooks; see and resend what they were sent.",
)

WebhookId = Annotated[
    int, typer.Argument(metavar="WEBHOOK", max=ID_MAX, help="Its number, as in `list`.")
]


@webhook.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are posted to.")],
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="finished, amended or failing (default: all). Repeatable."),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", help="Of this project's jobs only.")
    ] = None,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Tell a URL of events from now on, and print the secret that its receiver needs."""
    make_database(db)
    given = {} if not kind else {"kinds": kind}
    secret, told = verbs.subscribe(url, project=project, **given)
    if as_json:
        say_json({**told, "secret": secret})
    else:
        say(secret)
        text.err().print(
            f"webhook {told['id']} created; store its secret now, it is not shown again"
        )


@webhook.command(name="list")
def list_webhooks(*, as_json: AsJson = False, db: Db = None) -> None:
    """List the webhooks, without their secrets."""
    open_database(db)
    page = verbs.webhooks()
    if as_json:
        say_json(page)
        return
    titles = ["webhook", "url", "kinds", "project", "ended"]
    text.table(titles, [_cells(one) for one in page])


@webhook.command()
def end(webhook_id: WebhookId, *, db: Db = None) -> None:
    """Send nothing more to it; what was still to be sent is given up."""
    open_database(db)
    told = verbs.end(webhook_id)
    say(f"webhook {told['id']} ({told['url']}) ended at {told['ended_at'][:19]}")


@webhook.command()
def deliveries(
    webhook_id: WebhookId,
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="Only those: pending, delivered or given_up.")
    ] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", metavar="ID", max=ID_MAX, help="Older than this: the next page."),
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """List what it was sent or is to be sent, the newest first."""
    open_database(db)
    page = verbs.deliveries(webhook_id, state=state, before=before, limit=limit)
    if as_json:
        say_json(page)
        return
    titles = ["delivery", "job", "kind", "state", "tries", "next try", "last answer"]
    text.table(titles, [_delivery_cells(one) for one in page])


@webhook.command()
def resend(
    delivery_id: Annotated[
        int, typer.Argument(metavar="DELIVERY", max=ID_MAX, help="Its number, as in `deliveries`.")
    ],
    *,
    db: Db = None,
) -> None:
    """Send a delivery once more; the server does it."""
    open_database(db)
    told = verbs.resend(delivery_id)
    say(f"delivery {told['id']} of {told['message_id']}: {told['state']}")


def _cells(one: dict[str, Any]) -> list[Any]:
    return [
        str(one["id"]),
        one["url"],
        ", ".join(one["kinds"]),
        "all" if one["project"] is None else one["project"],
        (one["ended_at"] or "")[:19],
    ]


def _delivery_cells(one: dict[str, Any]) -> list[Any]:
    answer = " ".join(str(part) for part in (one["status"], one["error"]) if part)
    return [
        str(one["id"]),
        str(one["job"]),
        one["kind"],
        one["state"],
        str(one["tries"]),
        (one["next_try_at"] or "")[:19],
        answer[:80],
    ]
