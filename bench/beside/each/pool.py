"""multiprocessing.Pool, with its default chunks."""

import sys
from multiprocessing import Pool
from pathlib import Path

import work

if __name__ == "__main__":
    function, items, workers = getattr(work, sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with Pool(workers) as pool, Path("out").open("w") as out:
        out.writelines(f"{one}\n" for one in pool.map(function, range(items)))
