"""The command line. Worker processes import this package too, and need none of its commands."""

import sys

from joblot.places import make_environment_absolute


def main() -> None:
    """The `joblot` command."""
    make_environment_absolute()
    if next((word for word in sys.argv[1:] if not word.startswith("-")), None) == "worker":
        # All that this command needs, so that it works where Django is not installed.
        from joblot.cli.commands.worker import worker  # noqa: PLC0415
        from joblot.cli.group import group  # noqa: PLC0415

        group([worker])(prog_name="joblot")
    else:
        from joblot.cli.app import start  # noqa: PLC0415 (Typer, Rich and Django)

        start()
