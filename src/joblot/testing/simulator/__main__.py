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
    """Exit codes: 0 all held, 1 something did not, 2 usage, 4 the database can't be used."""
    asked = _parser().parse_args()
    first = secrets.randbelow(SEED_MAX) if asked.seed is None else asked.seed
    try:
        with temporary.database(asked.db):
            for seed in range(first, first + asked.seeds):
                _tell(f"seed {seed} …", sys.stderr)
                done = simulate(seed, asked.steps, items=asked.items, replay=asked.replay)
                _tell(done)
    except SimulationFailed as failed:
        _tell(failed)
        return FAILED
    except JoblotError as error:
        _tell(f"joblot: {error}", sys.stderr)
        return UNAVAILABLE
    return DONE


def _tell(what: object, stream: TextIO = sys.stdout) -> None:
    stream.write(f"{what}\n")
    stream.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m joblot.testing.simulator")
    parser.add_argument("--seed", type=int, help="of all that chance decides (default: a new one)")
    parser.add_argument("--seeds", type=int, default=1, help="so many, one after the other (1)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each ({STEPS})")
    parser.add_argument("--items", type=int, help="one large job of so many items instead")
    parser.add_argument(
        "--db", default="sqlite", help="sqlite or postgres (both temporary), a file, or a URL"
    )
    parser.add_argument("--replay", help="a history that a failure has printed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
