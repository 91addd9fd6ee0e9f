"""`python -m joblot.demo`: the demo without the rest of the command line."""

import typer

from joblot.demo.command import demo

if __name__ == "__main__":
    typer.run(demo)
