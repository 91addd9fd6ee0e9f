"""What open pages cost: by watched job, by viewer, and in results that are settled meanwhile.

    python bench/viewers.py [--rounds 5] [--seconds 10] [--viewers 200] [--jobs 10]

At rest: the CPU time of the server and of PostgreSQL per second while nobody watches, while one
viewer follows one job, while each of `--jobs` jobs has one viewer, and while `--viewers` follow one
job. These jobs are in the middle of their work, with two stages and samples of the last 15 minutes.

Under load: reports of 16 results on 32 connections to one job, with and without `--viewers` that
follow it: their rate, and the CPU time of the server and of PostgreSQL per report, which depends
less on what else the machine does.

Cases take turns in random order. Viewers hold their streams in a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from clients import http_storm
from figures import figure, write
from granted import migrate
from over_http import _allow_files, _queues
from served import served

from joblot import standalone
from joblot.testing.postgres import PostgresServer

REPORTS = "/api/v1/results"
TICK = os.sysconf("SC_CLK_TCK")
CORES = 2
ITEMS = 20_000  # of each watched job
TICKS = 90  # samples of a watched job, 10 s apart

Found = dict[str, dict[str, list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=10)
    asked = parser.parse_args()
    _allow_files(asked.viewers + 200)
    with PostgresServer() as server:
        url = server.create_database("bench")
        standalone.setup(url)
        migrate()
        from joblot.identity.tokens import issue

        token, _ = issue("bench", ["admin"])
        postmaster = int((server.data_dir / "postmaster.pid").read_text().split()[0])
        jobs = [_job_at_work() for _ in range(asked.jobs)]
        with served(url) as (port, pid):
            at_rest = _at_rest(port, (pid, postmaster), token, jobs, asked)
            loaded = _loaded(port, (pid, postmaster), token, asked)
    _tell(at_rest, loaded, asked)


def _job_at_work() -> int:
    """A job with two stages, of which a tenth is settled and 128 items are in flight."""
    from django.db import connection

    from joblot import submit
    from joblot.ledger.claim.claim import claim
    from joblot.ledger.report.report import report
    from joblot.wire import success

    stages = [{"name": "detect", "pipeline": "p"}, {"name": "save", "pipeline": "q"}]
    job = int(submit("tiles", map(str, range(ITEMS)), stages=stages).pk)
    for pipeline in "pq":
        for _ in range(4):
            for lease in claim(pipeline, ITEMS // 40, job=job).leases:
                report(lease.token, [success(item.id) for item in lease.items])
    for _ in range(8):
        claim("p", 16, job=job)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE joblot_job SET started_at = now() - interval '15 minutes', "
            "version = version + 1 WHERE id = %s",
            [job],
        )
        cursor.execute(
            "INSERT INTO joblot_sample (job_id, tick, run, at, stages, in_flight, workers) "
            "SELECT %s, extract(epoch FROM now())::bigint / 10 - n, 1, now() - n * interval '10 s',"
            " jsonb_build_array(jsonb_build_array(2000 - n * 22 + n %% 7, 0, 0), "
            "jsonb_build_array(2000 - n * 22 + n %% 5, 0, 0)), 128, 8 "
            f"FROM generate_series(1, {TICKS}) n",
            [job],
        )
    return job


def _at_rest(
    port: int, pids: tuple[int, int], token: str, jobs: Sequence[int], asked: Any
) -> dict[str, list[float]]:
    """By case, seconds of CPU time per second, one for each round."""
    cases = {
        "nobody": [],
        "one viewer": jobs[:1],
        "a viewer for each job": jobs,
        "all viewers": jobs[:1] * asked.viewers,
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(asked.rounds):
        for name in random.sample(list(cases), len(cases)):
            with _viewers(port, token, cases[name]):
                found[name].append(_cpu_share(pids, asked.seconds))
            print(f"round {round_} {name}: {found[name][-1]:.1%} of a core", flush=True)
    return found


def _loaded(port: int, pids: tuple[int, int], token: str, asked: Any) -> Found:
    turns = ("watched", "alone")
    found: Found = {turn: {"reports/s": [], "cpu ms/report": []} for turn in turns}
    for round_ in range(asked.rounds + 1):
        for turn in random.sample(turns, len(turns)):
            queues = _queues(token, REPORTS)
            with _viewers(port, token, [_newest()] * asked.viewers if turn == "watched" else []):
                before = _cpu(pids)
                storm = http_storm(port, queues, asked.seconds / 2)
                each = (_cpu(pids) - before) / storm.acts * 1000
            if round_:  # the first only warms up
                found[turn]["reports/s"].append(storm.rate)
                found[turn]["cpu ms/report"].append(each)
            print(
                f"round {round_} {turn}: {storm.rate:.0f} reports/s, {each:.2f} ms CPU", flush=True
            )
    return found


def _newest() -> int:
    from joblot.models import Job

    return int(Job.objects.latest("pk").pk)


@contextmanager
def _viewers(port: int, token: str, jobs: Sequence[int]) -> Iterator[None]:
    """A viewer for each of `jobs`, in a process of their own, each with its first snapshot."""
    if not jobs:
        yield
        return
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    child = fork.Process(target=lambda: asyncio.run(_watch(port, token, jobs, ready)), daemon=True)
    child.start()
    assert ready.wait(60), "the viewers get no snapshots"
    yield
    child.terminate()
    child.join()


async def _watch(port: int, token: str, jobs: Sequence[int], ready: Any) -> None:
    connecting = asyncio.Semaphore(20)

    async def view(job: int, has_begun: asyncio.Event) -> None:
        asking = (
            f"GET /api/v1/jobs/{job}/live HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
        )
        async with connecting:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(asking.encode())
            await reader.readuntil(b"data: ")
        has_begun.set()
        while await reader.read(65_536):
            pass
        raise SystemExit("a stream ended")

    begun = [asyncio.Event() for _ in jobs]
    tasks = [asyncio.create_task(view(job, one)) for job, one in zip(jobs, begun, strict=True)]
    await asyncio.gather(*(one.wait() for one in begun))
    ready.set()
    await asyncio.gather(*tasks)


def _cpu_share(pids: tuple[int, int], seconds: float) -> float:
    before, began = _cpu(pids), time.monotonic()
    time.sleep(seconds)
    return (_cpu(pids) - before) / (time.monotonic() - began)


def _cpu(pids: tuple[int, int]) -> float:
    """Seconds of CPU time so far: of these processes and their children."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = path.read_text().rpartition(") ")
        except OSError:  # it has just ended
            continue
        fields = rest.split()
        if {int(head.split(" ", 1)[0]), int(fields[1])} & set(pids):
            ticks += sum(map(int, fields[11:15]))  # also of children that have ended
    return ticks / TICK


def _tell(at_rest: dict[str, list[float]], loaded: Found, asked: Any) -> None:
    nobody = fmean(at_rest["nobody"])
    one = fmean(at_rest["one viewer"])
    cost = [(share - nobody) / CORES for share in at_rest["all viewers"]]
    each = [(share - one) / (asked.viewers - 1) * 1000 for share in at_rest["all viewers"]]
    by_job = [(share - nobody) / asked.jobs * 1000 for share in at_rest["a viewer for each job"]]

    def ratios(name: str) -> list[float]:
        pairs = zip(loaded["watched"][name], loaded["alone"][name], strict=True)
        return [watched / alone for watched, alone in pairs]

    many = f"{asked.viewers} viewers"
    figures = [
        figure(f"CPU time of {many} of a job at work, share of two cores", cost, "<= 0.05"),
        figure("CPU ms per second, by watched job with a viewer", by_job, "<= 50"),
        figure("CPU ms per second, by further viewer", each, "<= 0.5"),
        figure(f"results/s, {many} / none", ratios("reports/s"), ">= 0.95"),
        figure(f"CPU per report, {many} / none", ratios("cpu ms/report"), "<= 1.05"),
    ]
    write("viewers", figures, {"at rest, share of a core": at_rest, "loaded": loaded})


if __name__ == "__main__":
    main()
