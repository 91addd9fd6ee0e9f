"""`python -m joblot.cli` is `joblot`."""

from joblot.cli import main

main()
