"""`python -m joblot.testing.simulator`, which `make simulate` calls."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import TextIO

from joblot.errors import JoblotError
from joblot.testing import temporary
from joblot.testing.simulator import STEPS, SimulationFailed, simulate

DONE, FAILED, USAGE, UNAVAILABLE = 0, 1, 2, 4  # exit codes
SEED_MAX = 10**6


def main() -> int:
    """Exit codes: 0 every check holds, 1 one fails, 2 usage, 4 the database can't be used."""
    asked = _parser().parse_args()
    first = secrets.randbelow(SEED_MAX) if asked.seed is None else asked.seed
    try:
        with temporary.database(asked.db):
            for seed in range(first, first + asked.seeds):
                _print(f"seed {seed} …", sys.stderr)
                done = simulate(seed, asked.steps, items=asked.items, replay=asked.replay)
                _print(done)
    except SimulationFailed as failed:
        _print(failed)
        return FAILED
    except JoblotError as error:
        _print(f"joblot: {error}", sys.stderr)
        return UNAVAILABLE
    return DONE


def _print(what: object, stream: TextIO = sys.stdout) -> None:
    stream.write(f"{what}\n")
    stream.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m joblot.testing.simulator")
    parser.add_argument("--seed", type=int, help="seed of all random choices (default: random)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to play in turn (1)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps per seed ({STEPS})")
    parser.add_argument("--items", type=int, help="play one large job of this size instead")
    parser.add_argument(
        "--db", default="sqlite", help="sqlite or postgres (both temporary), a file, or a URL"
    )
    parser.add_argument("--replay", help="a history that a failure has printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
