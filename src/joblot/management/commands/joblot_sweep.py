"""`manage.py joblot_sweep`: the periodic check, for a project that runs no joblot server."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from joblot.cli.clocks import run_until_signaled
from joblot.delivery.supervisor import deliver_once, remove_files_once
from joblot.errors import JoblotError
from joblot.log_format import log_to_stderr
from joblot.maintenance import supervise_until, sweep, sweep_until


class Command(BaseCommand):
    help = (
        "Expires leases, continues cancels and retries, finishes jobs and delivers events, once; "
        "with --forever, until SIGTERM or Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--forever", action="store_true", help="Run until SIGTERM or Ctrl-C.")
        parser.add_argument("--json", action="store_true", help="Print what was done as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["forever"] and options["json"]:
            raise CommandError("--json: reports a single sweep; leave out --forever", returncode=2)
        log_to_stderr("joblot sweep")
        if options["forever"]:
            self.stderr.write("joblot_sweep: sweeping")
            run_until_signaled(sweep_until, supervise_until)
            return
        try:
            done = asdict(sweep())
            done |= {"deliveries": deliver_once(), "files_removed": remove_files_once()}
        except JoblotError as error:
            raise CommandError(str(error), returncode=4) from error
        if options["json"]:
            self.stdout.write(json.dumps(done))
        else:
            self.stdout.write(", ".join(f"{k.replace('_', ' ')}: {v:,}" for k, v in done.items()))
