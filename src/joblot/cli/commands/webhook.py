"""`joblot webhook`: receivers of events over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from joblot.cli import text
from joblot.cli.exits import Commands
from joblot.cli.ledger import open_ledger
from joblot.cli.options import ID_MAX, AsJson, Db, Limit, Url
from joblot.cli.printable import say, say_json

webhook = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Create, list and end webhooks; list and resend their deliveries.",
)

WebhookId = Annotated[
    int, typer.Argument(metavar="WEBHOOK", max=ID_MAX, help="Its number, as in `list`.")
]


@webhook.command()
def add(
    receiver: Annotated[str, typer.Argument(metavar="URL", help="Where to post events.")],
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", help="finished, amended, failing or halted (default: all). Repeatable."
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", help="Only for this project's jobs.")
    ] = None,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Create a webhook: post events to URL from now on. Prints the receiver's secret."""
    with open_ledger(db, url, create=True) as ledger:
        secret, created = ledger.subscribe(receiver, kinds=kind, project=project)
    if as_json:
        say_json({**created, "secret": secret})
    else:
        say(secret)
        text.err().print(
            f"webhook {created['id']} created; store its secret now, it is not shown again"
        )


@webhook.command(name="list")
def list_webhooks(*, as_json: AsJson = False, db: Db = None, url: Url = None) -> None:
    """List the webhooks, without their secrets."""
    with open_ledger(db, url) as ledger:
        page = ledger.webhooks()
    if as_json:
        say_json(page)
        return
    titles = ["webhook", "url", "kinds", "project", "ended"]
    text.table(titles, [_cells(one) for one in page])


@webhook.command()
def end(webhook_id: WebhookId, *, db: Db = None, url: Url = None) -> None:
    """End a webhook; its pending deliveries are given up."""
    with open_ledger(db, url) as ledger:
        ended = ledger.end_webhook(webhook_id)
    say(f"webhook {ended['id']} ({ended['url']}) ended at {ended['ended_at'][:19]}")


@webhook.command()
def deliveries(
    webhook_id: WebhookId,
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="Only pending, delivered or given_up.")
    ] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", metavar="ID", max=ID_MAX, help="Only older ones: the next page."),
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """List a webhook's deliveries, the newest first."""
    with open_ledger(db, url) as ledger:
        page = ledger.deliveries(webhook_id, state=state, before=before, limit=limit)
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
    url: Url = None,
) -> None:
    """Have the server send a delivery again."""
    with open_ledger(db, url) as ledger:
        sent = ledger.resend(delivery_id)
    say(f"delivery {sent['id']} of {sent['message_id']}: {sent['state']}")


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
