"""`joblot open`: a link to the pages of a server of this user."""

from __future__ import annotations

from typing import Annotated

import typer
from django.urls import NoReverseMatch, reverse

from joblot import entry, local
from joblot.cli.database import choose_database
from joblot.cli.printable import say
from joblot.errors import InvalidInput, Unavailable


def open_pages(
    *,
    url: Annotated[
        str | None,
        typer.Option("--url", help="The server's address, if several of yours are running."),
    ] = None,
) -> None:
    """Print a link that opens the pages of your `joblot serve` in a browser, once."""
    choose_database(None, served=True)
    say(link(_server(url)))


def link(url: str, job: int | None = None) -> str:
    """A new link into the pages of the server at `url`, to a job's or to the list.

    Raises Unavailable.
    """
    secret = entry.make_entry(local.token_file())
    try:
        to = "" if job is None else f"?next={reverse('joblot_web:job', args=[job])}"
        return url + reverse("joblot_web:enter", args=[secret]) + to
    except NoReverseMatch as error:
        raise Unavailable(
            'the project\'s URLs have no pages; add path("", include("joblot.urls"))'
        ) from error


def _server(url: str | None) -> str:
    running = local.servers()
    if url is not None and local.is_local(url) and local.find_socket(url) is not None:
        return url.rstrip("/")
    if url is not None or not running:
        raise Unavailable(
            f"no `joblot serve` of yours is running{'' if url is None else f' at {url}'}"
            + (f"; running are {', '.join(running)}" if running else "; start it")
        )
    if len(running) > 1:
        raise InvalidInput(f"several servers are running; name one with --url: {' '.join(running)}")
    return running[0]
