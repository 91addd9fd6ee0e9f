"""The peers and how each is run. Their settings are explained in the peers' own modules."""

from __future__ import annotations

from dataclasses import replace

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
    variants=tuple(
        replace(one, settings=f"{one.settings}, leases of 20 s") if one.tuned else one
        for one in JOBLOT.variants
    ),
    open_items=JOBLOT_OPEN,
    processes=1,
    serves=True,
    counted=JOBLOT_DONE,
    final_events=JOBLOT_FINISHED,
    recovers="when the lease expires, by default after 300 s",
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
        recovers="not if acknowledged, by default before the task; else after an hour",
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
    Peer(
        name="celery-django",
        title="Celery, django-celery-results, chord",
        script="each/celery_django.py",
        venv="celery_django",
        package="django-celery-results",
        services=("redis", "postgres"),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, settings="prefetch 128, acks late, visibility 20 s"),
        ),
        open_items=("LLEN celery", "HLEN unacked"),
        processes=1,
        calls_back=True,
        recovers="as Celery on Redis",
    ),
    Peer(
        name="dramatiq",
        title="Dramatiq, group callback",
        script="each/dramatiq_redis.py",
        venv="dramatiq",
        package="dramatiq",
        services=("redis",),
        variants=(
            Variant("defaults", settings="8 threads a process"),
            Variant("tuned", tuned=True, settings="1 thread a process, prefetch 100"),
        ),
        open_items=("HLEN dramatiq:default.msgs",),
        processes=1,
        calls_back=True,
        recovers="60 s after the last heartbeat, at one of 1,000 commands, by chance",
    ),
    Peer(
        name="chancy",
        title="Chancy",
        script="each/chancy_pg.py",
        venv="chancy",
        package="chancy",
        services=("postgres",),
        variants=(
            Variant("defaults", items_max=40, faults=False, settings="2 a fetch, every 5 s"),
            Variant(
                "tuned, 16 at a time",
                faults=False,
                tuned=True,
                batch=16,
                settings="asynchronous, eager",
            ),
            Variant("tuned, 256 at a time", tuned=True, batch=256, settings="asynchronous, eager"),
        ),
        open_items=(
            "SELECT count(*) FROM chancy_jobs WHERE state IN ('pending', 'running', 'retrying')",
        ),
        counted=("SELECT count(*) FROM chancy_jobs WHERE state = 'succeeded'",),
        recovers="by a plugin that asks every 60 s",
    ),
    Peer(
        name="dbos",
        title="DBOS",
        script="each/dbos_pg.py",
        venv="dbos",
        package="dbos",
        services=("postgres",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, settings="100 at a time, asks every 0.1 s"),
        ),
        open_items=(
            """SELECT count(*) FROM dbos.workflow_status
               WHERE status IN ('ENQUEUED', 'PENDING') AND name = 'one'""",
        ),
        counted=(
            """SELECT count(*) FROM dbos.workflow_status
               WHERE status = 'SUCCESS' AND name = 'one'""",
        ),
        recovers="when an executor of the same name starts",
    ),
    Peer(
        name="django-tasks-db",
        title="django-tasks, database backend",
        script="each/django_tasks_backend.py",
        venv="django_tasks_db",
        package="django-tasks-db",
        services=("postgres",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, settings="no pause between polls"),
        ),
        open_items=(
            """SELECT count(*) FROM django_tasks_database_dbtaskresult
               WHERE status IN ('READY', 'RUNNING')""",
        ),
        counted=(
            """SELECT count(*) FROM django_tasks_database_dbtaskresult
               WHERE status = 'SUCCESSFUL'""",
        ),
        recovers="no way is documented",
    ),
    Peer(
        name="awa",
        title="awa",
        script="each/awa_pg.py",
        venv="awa",
        package="awa-pg",
        services=("postgres",),
        variants=(
            Variant("defaults", fast=True, settings="4 at a time, as in its introduction"),
            *batched(16, 256),
        ),
        open_items=("SELECT count(*) FROM awa.jobs WHERE state IN ('available', 'running')",),
        recovers="after its heartbeat is stale",
    ),
    Peer(
        name="pg-boss",
        title="pg-boss",
        script="node/pg_boss.mjs",
        node=True,
        package="pg-boss",
        services=("postgres",),
        variants=(
            Variant("defaults", items_max=40, faults=False, settings="1 a fetch, every 2 s"),
            *batched(16, 256),
        ),
        open_items=("SELECT count(*) FROM pgboss.job WHERE name = 'one' AND state < 'completed'",),
        counted=("SELECT count(*) FROM pgboss.job WHERE name = 'one' AND state = 'completed'",),
        recovers="after 15 minutes",
    ),
    Peer(
        name="bullmq",
        title="BullMQ, Redis",
        script="node/bullmq.mjs",
        node=True,
        package="bullmq",
        services=("redis",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, fast=True, settings="50 at a time, finished ones removed"),
            Variant(
                "tuned, everysec",
                tuned=True,
                fast=True,
                faults=False,
                appendfsync="everysec",
                settings="the same, appendfsync everysec",
            ),
        ),
        open_items=("LLEN bull:items:wait", "LLEN bull:items:active"),
        recovers="after 30 s without its lock",
    ),
    Peer(
        name="bullmq-postgres",
        title="BullMQ, PostgreSQL",
        script="node/bullmq.mjs",
        node=True,
        package="bullmq",
        services=("postgres",),
        variants=(
            Variant("defaults"),
            Variant("tuned", tuned=True, fast=True, settings="50 at a time, finished ones removed"),
        ),
        open_items=(
            "SELECT count(*) FROM bullmq.job WHERE state IN ('waiting', 'active', 'delayed')",
        ),
        recovers="after 30 s without its lock",
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS}
