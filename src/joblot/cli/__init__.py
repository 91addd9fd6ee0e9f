"""The command line. Worker processes import this package too, but none of its commands."""

import sys

from joblot.places import make_environment_absolute


def main() -> None:
    """The `joblot` command."""
    from joblot.cli.standard_files import opened  # noqa: PLC0415

    opened()
    make_environment_absolute()
    word = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if word in ("run", "worker"):
        from joblot.worker.relay import relayed  # noqa: PLC0415 (a worker process doesn't need it)

        with relayed():
            _start(word)
    else:
        _start(word)


def _start(word: str | None) -> None:
    if word == "worker":
        # Import no more than this command needs: it must work without Django.
        from joblot.cli.commands.worker import worker  # noqa: PLC0415
        from joblot.cli.group import group  # noqa: PLC0415

        group([worker])(prog_name="joblot")
    else:
        from joblot.cli.app import start  # noqa: PLC0415 (Typer, Rich and Django)

        start()
