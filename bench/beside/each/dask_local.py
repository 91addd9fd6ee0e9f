"""Dask on a local cluster, a process with one thread per worker, without the dashboard."""

import sys
from pathlib import Path

import work
from dask.distributed import Client, LocalCluster

if __name__ == "__main__":
    function, items, workers = getattr(work, sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        outputs = client.gather(client.map(function, range(items), pure=False))
    with Path("out").open("w") as out:
        out.writelines(f"{one}\n" for one in outputs)
