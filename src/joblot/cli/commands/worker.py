"""`joblot worker`. Imports no Django."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from joblot.cli.options import Exec, KeepOutput, NoRetryOn, RecycleItems, RecycleMb, RetryOn
from joblot.cli.printable import say_aside
from joblot.errors import InvalidInput
from joblot.log_format import log_to_stderr
from joblot.places import absolute, data_folder
from joblot.worker.handlers import BATCH_ITEMS_MAX
from joblot.worker.nats_address import NATS, NATS_CREDS, given_nats
from joblot.worker.order import URL, Order, given_url, url_of
from joblot.worker.printed import Keep
from joblot.worker.settings import ITEM_SECONDS_MAX
from joblot.worker.spool import SPOOL_BYTES_MAX
from joblot.worker.token import TOKEN, TOKEN_FILE
from joblot.worker.token import Token as ApiToken

Function = Annotated[
    str | None,
    typer.Argument(
        metavar="FUNC",
        help="module:function, or a module whose functions have @work.",
        show_default=False,
    ),
]
Url = Annotated[str | None, typer.Option("--url", help=f"The server's address (default: {URL}).")]
Nats = Annotated[
    str | None,
    typer.Option(
        "--nats",
        metavar="URL",
        help=f"Pull leases from NATS, as `joblot dispatch` publishes them (default: {NATS}).",
        show_default=False,
    ),
]
NatsCreds = Annotated[
    str | None,
    typer.Option(
        "--nats-creds",
        metavar="FILE",
        help=f"Credentials for NATS (default: {NATS_CREDS}).",
        show_default=False,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        help=f"Visible to others on this machine: prefer {TOKEN} or {TOKEN_FILE}.",
    ),
]
Pipelines = Annotated[
    list[str] | None,
    typer.Option(
        "--pipeline",
        metavar="NAME",
        help="Serve only this pipeline (default: as in @work). Repeatable.",
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        metavar="N",
        min=0,
        max=BATCH_ITEMS_MAX,
        help="The function takes lists of up to N items; 0: one item (default: as in @work).",
        show_default=False,
    ),
]
Processes = Annotated[
    int, typer.Option("--processes", metavar="N", min=1, max=512, help="The number of processes.")
]
Spool = Annotated[
    Path | None,
    typer.Option(
        "--spool",
        metavar="DIR",
        help="Where results are stored until receipted (default: in your data folder).",
    ),
]
SpoolBytesMax = Annotated[
    int,
    typer.Option(
        "--spool-bytes-max",
        metavar="N",
        min=1,
        help="How much a process stores before its function waits.",
    ),
]
Job = Annotated[int | None, typer.Option("--job", metavar="JOB", help="Work only on this job.")]
ItemSecondsMax = Annotated[
    float,
    typer.Option(
        "--item-seconds-max",
        min=0.1,
        help="A call that takes longer counts as frozen; a command is killed.",
    ),
]


def worker(
    function: Function = None,
    *,
    command: Exec = None,
    url: Url = None,
    nats: Nats = None,
    nats_creds: NatsCreds = None,
    token: Token = None,
    pipeline: Pipelines = None,
    batch: Batch = None,
    processes: Processes = 1,
    spool: Spool = None,
    spool_bytes_max: SpoolBytesMax = SPOOL_BYTES_MAX,
    job: Job = None,
    item_seconds_max: ItemSecondsMax = ITEM_SECONDS_MAX,
    retry_on: RetryOn = None,
    no_retry_on: NoRetryOn = None,
    recycle_items: RecycleItems = 0,
    recycle_mb: RecycleMb = 0,
    keep_output: KeepOutput = Keep.FAILED,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Work for a joblot server until SIGTERM or Ctrl-C, then finish the items begun, and report.

    Results are written to disk before an item counts as done, and stay until the server has
    receipted them.
    """
    _check_work(function, command, batch)
    access = ApiToken.of(token)
    servers, credentials_file = _nats_without(job, nats, nats_creds)
    order = Order(
        url=given_url(url) if servers else url_of(url),
        nats=servers,
        nats_creds=credentials_file,
        token=access.text,
        token_file=access.file,
        function=function or "",
        command=command or "",
        pipelines=pipeline or [],
        batch=batch,
        job=job,
        retry_on=retry_on or (),
        no_retry_on=no_retry_on or (),
        item_seconds_max=item_seconds_max,
        spool=str(absolute(spool) if spool else data_folder() / "spool"),
        spool_bytes_max=spool_bytes_max,
        recycle_items=recycle_items,
        recycle_mb=recycle_mb,
        keep_output=keep_output.value,
        verbose=verbose,
    )
    log_to_stderr("joblot worker")
    logging.getLogger("joblot").setLevel(logging.INFO if verbose else logging.WARNING)
    from joblot.worker.processes import WorkerProcesses  # noqa: PLC0415 (talks HTTP, which is slow to load)

    workers = WorkerProcesses(order, processes)
    served = ", ".join(workers.start())
    say_aside(f"joblot worker: serving {served} at {order.place}")
    raise typer.Exit(workers.work())


def _check_work(function: str | None, command: str | None, batch: int | None) -> None:
    if (function is None) == (command is None):
        raise InvalidInput("expected either FUNC or --exec CMD; see joblot worker --help")
    if command is not None and batch:
        raise InvalidInput("--batch: a command takes one item at a time; leave it out")


def _nats_without(
    job: int | None, urls: str | None, credentials_file: str | None
) -> tuple[str, str]:
    """As `given_nats`. Raises InvalidInput for a job, too."""
    found = given_nats(urls, credentials_file)
    if found[0] and job is not None:
        raise InvalidInput("--job: grants that come over NATS are of any job; leave one out")
    return found
