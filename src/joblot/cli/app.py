"""The `joblot` command and its subcommands."""

from __future__ import annotations

from joblot.cli.commands import change, install, read
from joblot.cli.commands.audit import audit
from joblot.cli.commands.certify import certify
from joblot.cli.commands.deliver import deliver
from joblot.cli.commands.open import open_pages
from joblot.cli.commands.run import run
from joblot.cli.commands.serve import serve
from joblot.cli.commands.submit import submit
from joblot.cli.commands.sweep import sweep
from joblot.cli.commands.token import token
from joblot.cli.commands.user import user
from joblot.cli.commands.webhook import webhook
from joblot.cli.commands.worker import worker
from joblot.cli.group import group
from joblot.demo.command import demo

COMMANDS = (
    run,
    serve,
    worker,
    submit,
    read.jobs,
    read.show,
    read.watch,
    read.why,
    read.causes,
    read.items,
    read.logs,
    change.seal,
    change.cancel,
    change.pause,
    change.resume,
    change.retry,
    change.delete,
    audit,
    sweep,
    deliver,
    install.doctor,
    install.migrate,
    certify,
    demo,
)

app = group(COMMANDS)
app.add_typer(token, name="token")
app.add_typer(webhook, name="webhook")
app.add_typer(user, name="user")
app.command("open")(open_pages)


def start() -> None:
    """The entry point."""
    app(prog_name="joblot")
