"""`joblot token`: the tokens of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from joblot import local
from joblot.cli import text, verbs
from joblot.cli.exits import Commands
from joblot.cli.ledger import require_database
from joblot.cli.options import AsJson, Db, Url, seconds_of
from joblot.cli.printable import say, say_json

token = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Create, list and revoke API tokens.",
)


@token.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for its owner, shown in lists.")],
    *,
    scope: Annotated[
        list[str],
        typer.Option("--scope", help="submit, work, read or admin. Repeatable."),
    ],
    project: Annotated[
        list[str] | None, typer.Option("--project", help="Only for this project. Repeatable.")
    ] = None,
    pipeline: Annotated[
        list[str] | None, typer.Option("--pipeline", help="Only for this pipeline. Repeatable.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="After 90s, 15m, 12h, 30d, 8w.")
    ] = None,
    in_flight_items_max: Annotated[
        int | None,
        typer.Option(
            "--in-flight-items-max", min=1, help="Items that its workers may hold at once."
        ),
    ] = None,
    requests_per_minute_max: Annotated[
        int | None,
        typer.Option("--requests-per-minute-max", min=1, help="Per server process."),
    ] = None,
    body_bytes_max: Annotated[
        int | None, typer.Option("--body-bytes-max", min=1, help="Per request.")
    ] = None,
    as_json: AsJson = False,
    db: Db = None,
    url: Url = None,
) -> None:
    """Create a token and print it. It is shown only once; joblot stores a hash."""
    _open(db, url, create=True)
    secret, created = verbs.issue(
        name,
        scope,
        projects=project or None,
        pipelines=pipeline or None,
        expires_in_seconds=None if expires is None else seconds_of(expires, "--expires"),
        in_flight_items_max=in_flight_items_max,
        requests_per_minute_max=requests_per_minute_max,
        body_bytes_max=body_bytes_max,
    )
    if as_json:
        say_json({**created, "token": secret})
    else:
        say(secret)
        text.err().print(f"token {created['id']} created; store it now, it is not shown again")


@token.command(name="local")
def local_token(
    *,
    renew: Annotated[
        bool, typer.Option("--renew", help="Replace it; the old one is refused from now on.")
    ] = False,
) -> None:
    """Print the path of your local token's file, a header for curl -H @FILE.

    Every `joblot serve` of this user accepts it, and `joblot worker` finds it by itself.
    """
    say(str(local.make_token(renew=renew)))


@token.command(name="list")
def list_tokens(*, as_json: AsJson = False, db: Db = None, url: Url = None) -> None:
    """List the tokens, without their secrets."""
    _open(db, url)
    page = verbs.tokens()
    if as_json:
        say_json(page)
        return
    titles = ["token", "name", "scopes", "projects", "pipelines", "created", "last used"]
    titles += ["expires", "revoked"]
    text.table(titles, [_cells(one) for one in page])


@token.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, as in `list`.")],
    *,
    db: Db = None,
    url: Url = None,
) -> None:
    """Revoke a token: its next request is refused."""
    _open(db, url)
    revoked = verbs.revoke(token_id)
    say(f"token {revoked['id']} ({revoked['name']}) was revoked at {revoked['revoked_at'][:19]}")


def _open(db: Path | None, url: str | None, *, create: bool = False) -> None:
    require_database(db, url, "tokens")
    from joblot.cli import database  # noqa: PLC0415 (needs Django)

    (database.make_database if create else database.open_database)(db)


def _cells(one: dict[str, Any]) -> list[Any]:
    return [
        one["id"],
        one["name"],
        ", ".join(one["scopes"]),
        "all" if one["projects"] is None else ", ".join(one["projects"]),
        "all" if one["pipelines"] is None else ", ".join(one["pipelines"]),
        one["created_at"][:19],
        (one["last_used_at"] or "never")[:19],
        (one["expires_at"] or "never")[:19],
        (one["revoked_at"] or "")[:19],
    ]
