"""The command line. Worker processes import this package too, but none of its commands."""

import gc
import sys

from joblot.places import make_environment_absolute

# By default Python collects garbage after 700 new objects. Importing a command creates 100 times as
# many, none of them garbage, and would spend a tenth of its CPU on collections. Only while it is
# imported: a server would hold hundreds of failed requests, each of a few large objects.
NEW_OBJECTS_MAX = 50_000


def main() -> None:
    """The `joblot` command."""
    usual = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS_MAX)
    from joblot.cli.standard_files import opened, say_what_can_not_be_encoded  # noqa: PLC0415

    opened()
    say_what_can_not_be_encoded()
    make_environment_absolute()
    from joblot.cli.app import start  # noqa: PLC0415 (worker processes don't need it)

    gc.set_threshold(*usual)
    word = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if word in ("run", "worker"):
        from joblot.worker.relay import relayed  # noqa: PLC0415

        with relayed():
            start()
    else:
        start()
