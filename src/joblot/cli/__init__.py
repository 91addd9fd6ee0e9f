"""The command line. Worker processes import this package too, and need none of its commands."""


def main() -> None:
    """The `joblot` command."""
    from joblot.cli.app import start  # noqa: PLC0415 (Typer and Rich, which a worker doesn't need)

    start()
