"""The peers and how each is run. Their settings are explained in the peers' own modules."""

from __future__ import annotations

from bench.peers.shape import Peer, Variant

JOBLOT_DONE = (
    """SELECT coalesce(sum((stage->>'succeeded')::int), 0)
       FROM joblot_job, jsonb_array_elements(recorded) AS stage""",
)
JOBLOT_FINISHED = ("SELECT count(*) FROM joblot_event WHERE kind = 'finished'",)
JOBLOT_OPEN = ("SELECT count(*) FROM joblot_job WHERE finished_at IS NULL",)


def batched(*sizes: int) -> tuple[Variant, ...]:
    return tuple(
        Variant(
            f"tuned, {size} a batch",
            tuned=True,
            batch=size,
            fast=True,
            faults=size == sizes[-1],
            settings=f"batches of {size}",
        )
        for size in sizes
    )


JOBLOT = Peer(
    name="joblot",
    title="joblot run",
    script="each/joblot_run.py",
    services=("postgres",),
    variants=(Variant("defaults", fast=True, settings="one item a call"), *batched(16, 256)),
    open_items=JOBLOT_OPEN,
    processes=1,
    counted=JOBLOT_DONE,
    final_events=JOBLOT_FINISHED,
    recovers="at once by `--resume`, otherwise when the lease expires",
)

JOBLOT_HTTP = Peer(
    name="joblot-http",
    title="joblot over HTTP",
    script="each/joblot_http.py",
    services=("postgres",),
    variants=JOBLOT.variants,
    open_items=JOBLOT_OPEN,
    processes=1,
    serves=True,
    counted=JOBLOT_DONE,
    final_events=JOBLOT_FINISHED,
    recovers="when the lease expires",
)

PEERS = (
    JOBLOT,
    JOBLOT_HTTP,
    Peer(
        name="celery",
        title="Celery, Redis, chord",
        script="each/celery_redis.py",
        venv="celery",
        package="celery",
        services=("redis",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, settings="prefetch 128, acks late, visibility 20 s"),
            Variant(
                "tuned, everysec",
                tuned=True,
                appendfsync="everysec",
                faults=False,
                settings="the same, appendfsync everysec",
            ),
        ),
        open_items=("LLEN celery", "HLEN unacked"),
        processes=1,
        calls_back=True,
        recovers="never once acknowledged, which is before the task; otherwise after an hour",
    ),
    Peer(
        name="rq",
        title="RQ",
        script="each/rq_redis.py",
        venv="rq",
        package="rq",
        services=("redis",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, settings="SimpleWorker, no results kept"),
        ),
        open_items=("LLEN rq:queue:default", "ZCARD rq:wip:default"),
        processes=1,
        recovers="moved to the failed jobs after its heartbeat's time limit",
    ),
    Peer(
        name="procrastinate",
        title="Procrastinate",
        script="each/procrastinate_pg.py",
        venv="procrastinate",
        package="procrastinate",
        services=("postgres",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, settings="10 jobs at a time, finished ones deleted"),
        ),
        open_items=(
            """SELECT count(*) FROM procrastinate_jobs
               WHERE status IN ('todo', 'doing') AND task_name = 'one'""",
        ),
        recovers="by a periodic task that the user writes",
    ),
    Peer(
        name="pgqueuer",
        title="PgQueuer",
        script="each/pgqueuer_pg.py",
        venv="pgqueuer",
        package="pgqueuer",
        services=("postgres",),
        variants=(Variant("defaults", fast=True, settings="batches of 10"), *batched(16, 256)),
        open_items=("SELECT count(*) FROM pgqueuer",),
        counted=("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'",),
        recovers="30 s after the last heartbeat",
    ),
    Peer(
        name="graphile-worker",
        title="graphile-worker",
        script="node/graphile_worker.mjs",
        node=True,
        package="graphile-worker",
        services=("postgres",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, fast=True, settings="24 at a time, local queue of 500"),
            *batched(16, 256),
        ),
        open_items=("SELECT count(*) FROM graphile_worker._private_jobs",),
        recovers="after 4 hours",
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS}
