"""The `joblot` command and its subcommands, each imported when it is used."""

from __future__ import annotations

from typing import Any

from joblot.cli.exits import Commands
from joblot.cli.group import LoadedWhenUsed, group

COMMANDS = {
    "run": "joblot.cli.commands.run:run",
    "serve": "joblot.cli.commands.serve:serve",
    "worker": "joblot.cli.commands.worker:worker",
    "dispatch": "joblot.cli.commands.dispatch:dispatch",
    "submit": "joblot.cli.commands.submit:submit",
    "jobs": "joblot.cli.commands.read:jobs",
    "show": "joblot.cli.commands.read:show",
    "watch": "joblot.cli.commands.watch:watch",
    "why": "joblot.cli.commands.read:why",
    "causes": "joblot.cli.commands.causes:causes",
    "items": "joblot.cli.commands.read:items",
    "results": "joblot.cli.commands.results:results",
    "logs": "joblot.cli.commands.read:logs",
    "events": "joblot.cli.commands.events:events",
    "workers": "joblot.cli.commands.read:workers",
    "revoke-worker": "joblot.cli.commands.revoke:revoke_worker",
    "restore-worker": "joblot.cli.commands.revoke:restore_worker",
    "pipelines": "joblot.cli.commands.pipelines:pipelines",
    "edit-pipeline": "joblot.cli.commands.pipelines:edit_pipeline",
    "start": "joblot.cli.commands.change:start",
    "seal": "joblot.cli.commands.change:seal",
    "cancel": "joblot.cli.commands.change:cancel",
    "pause": "joblot.cli.commands.change:pause",
    "resume": "joblot.cli.commands.change:resume",
    "retry": "joblot.cli.commands.change:retry",
    "edit": "joblot.cli.commands.edit:edit",
    "priority": "joblot.cli.commands.change:priority",
    "delete": "joblot.cli.commands.change:delete",
    "prune": "joblot.cli.commands.upkeep:prune",
    "expire": "joblot.cli.commands.upkeep:expire",
    "audit": "joblot.cli.commands.audit:audit",
    "sweep": "joblot.cli.commands.sweep:sweep",
    "deliver": "joblot.cli.commands.deliver:deliver",
    "doctor": "joblot.cli.commands.install:doctor",
    "migrate": "joblot.cli.commands.install:migrate",
    "certify": "joblot.cli.commands.certify:certify",
    "import-blob": "joblot.cli.commands.import_blob:import_blob",
    "lint": "joblot.cli.commands.lint:lint",
    "demo": "joblot.demo.command:demo",
    "open": "joblot.cli.commands.open:open_pages",
    "user": "joblot.cli.commands.user:user",
    "token": "joblot.cli.commands.token:token",
    "webhook": "joblot.cli.commands.webhook:webhook",
}


class _Commands(Commands):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LoadedWhenUsed(COMMANDS)


app = group(_Commands)


def start() -> None:
    """The entry point."""
    app(prog_name="joblot")
