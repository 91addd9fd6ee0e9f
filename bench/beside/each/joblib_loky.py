"""joblib with its default back-end, loky, and its default batches."""

import sys
from pathlib import Path

import work
from joblib import Parallel, delayed

if __name__ == "__main__":
    function, items, workers = getattr(work, sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    outputs = Parallel(n_jobs=workers)(delayed(function)(n) for n in range(items))
    with Path("out").open("w") as out:
        out.writelines(f"{one}\n" for one in outputs)
