"""joblot.map, with a key: the same command continues what an earlier one has begun."""

import sys
from pathlib import Path

import work

import joblot

if __name__ == "__main__":
    function, items, workers = getattr(work, sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    outputs = joblot.map(
        function, range(items), key="beside", workers=workers, db="jobs.sqlite3", progress=False
    )
    with Path("out").open("w") as out:
        out.writelines(f"{one}\n" for one in outputs)
