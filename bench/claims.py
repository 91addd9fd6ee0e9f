"""Do claims stay fast while a job drains? Claims of 16 items, the first tenth and the last.

    python bench/claims.py [--items 32000] [--handlers 8] [--only CASE … [--add] [--held]]

Each case drains one job through the real verb: a job of one stage; a second stage, whose ranges
come from reports; items returned by expired leases; items reopened by a retry, of a canceled job
and of one in which every other item had failed; each with and without one old snapshot held open.
The baseline is the usual queue over item rows, on the same machine in the same run. `--add` keeps
the earlier results of the other cases, and does not measure the baseline again; `--held` measures
with the old snapshot only.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from figures import RESULTS, Figure, figure, write
from storm import Act, storm

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
PIPELINE = "p"
HELPERS = 4  # processes that prepare a case
HANDLERS_MAX, WARM_UPS = 32, 10
BASELINE = "usual queue"
RATES = "claims/s, first and last tenth"
FOREVER = 600.0  # seconds; a drain ends when nothing is left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=32_000)
    parser.add_argument("--handlers", type=int, default=8, help="at most 32")
    parser.add_argument(
        "--only",
        nargs="*",
        choices=[[], *CASES],
        default=[],
        metavar="CASE",
        help="these cases, and the usual queue",
    )
    parser.add_argument("--add", action="store_true", help="keep the results of other cases")
    parser.add_argument("--held", action="store_true", help="only with an old snapshot")
    asked = parser.parse_args()
    held = (True,) if asked.held else (False, True)
    earlier = json.loads((RESULTS / "claims.json").read_text())["measured"] if asked.add else {}
    chosen = {*asked.only, *([] if asked.add else [BASELINE])} if asked.only else set(CASES)
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        rates = earlier.get(RATES, {}) | _measure(asked.items, asked.handlers, chosen, held)
    write("claims", _figures(rates), {RATES: rates})


def _measure(
    items: int, handlers: int, chosen: Collection[str], held: Sequence[bool]
) -> dict[str, Sequence[float]]:
    rates: dict[str, Sequence[float]] = {}
    for name in [name for name in CASES if name in chosen]:
        for old_snapshot in held:
            prepare = CASES[name](items)
            with _old_snapshot(held=old_snapshot):
                case = f"{name}, old snapshot" if old_snapshot else name
                rates[case] = _drain(prepare, items, handlers)
            print(
                f"{case}: {rates[case][0]:.0f} claims/s at first, {rates[case][1]:.0f} at last",
                flush=True,
            )
    return rates


def _drain(prepare: Callable[[int], Act], items: int, handlers: int) -> tuple[float, float]:
    """Claims per second over the first and the last tenth of the items."""
    ends = sorted(storm(prepare, handlers=handlers, seconds=FOREVER).ends)
    assert len(ends) >= items // BATCH, f"claimed {len(ends)} times, expected {items // BATCH}"
    tenth = len(ends) // 10
    return tenth / (ends[tenth] - ends[0]), tenth / (ends[-1] - ends[-tenth - 1])


@contextmanager
def _old_snapshot(*, held: bool) -> Iterator[None]:
    """Hold a snapshot open in an idle transaction, so that nothing can be vacuumed."""
    from django.db import connections

    if not held:
        yield
        return
    reader = connections["default"].copy()
    reader.set_autocommit(False)
    with reader.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM joblot_job")
        yield
    reader.rollback()
    reader.close()


def _claimer() -> Callable[[int], Act]:
    """Claims from the case's job, after a few from another, so that the first tenth does not pay
    each connection's one-time costs."""
    from joblot import claim, submit

    submit("warm up", _keys(HANDLERS_MAX * WARM_UPS * BATCH), pipeline="warm up")

    def prepare(number: int) -> Act:
        for _ in range(WARM_UPS):
            claim("warm up", BATCH)
        return lambda: bool(claim(PIPELINE, BATCH).leases)

    return prepare


def _keys(items: int) -> Iterator[str]:
    return (f"k{n}" for n in range(items))


def _one_stage(items: int) -> Callable[[int], Act]:
    from joblot import submit

    _forget()
    submit("claims", _keys(items), pipeline=PIPELINE)
    return _claimer()


def _second_stage(items: int) -> Callable[[int], Act]:
    """Its ranges were created by reports of 16 items, in the order of arrival."""
    from joblot import claim, report, submit
    from joblot.wire import success

    _forget()
    stages = [{"name": "one", "pipeline": "first"}, {"name": "two", "pipeline": PIPELINE}]
    submit("claims", _keys(items), stages=stages)

    def act() -> bool:
        leases = claim("first", BATCH).leases
        for lease in leases:
            report(lease.token, [success(item.id) for item in lease.items])
        return bool(leases)

    storm(lambda number: act, handlers=HELPERS, seconds=FOREVER)
    return _claimer()


def _after_expiries(items: int) -> Callable[[int], Act]:
    """All items were claimed once by workers that died; every range came back."""
    from joblot import submit
    from joblot.ledger.lease import expire
    from joblot.models import Lease

    _forget()
    submit("claims", _keys(items), pipeline=PIPELINE)
    storm(_claimer(), handlers=HELPERS, seconds=FOREVER)
    tokens = list(Lease.ledger.values_list("token", flat=True))

    def prepare(number: int) -> Act:
        mine = iter(tokens[number::HELPERS])

        def act() -> bool:
            token = next(mine, None)
            if token is not None:
                expire(token)
            return token is not None

        return act

    storm(prepare, handlers=HELPERS, seconds=FOREVER)
    return _claimer()


def _cancelled_and_retried(items: int) -> Callable[[int], Act]:
    """All items were claimed and are reopened."""
    from joblot import cancel, retry, submit

    _forget()
    job = submit("claims", _keys(items), pipeline=PIPELINE)
    storm(_claimer(), handlers=HELPERS, seconds=FOREVER)
    cancel(job.pk, grace_seconds=0)
    retry(job.pk)
    return _claimer()


def _failed_and_retried(items: int) -> Callable[[int], Act]:
    """As many ranges as items: every other item of a job of twice the size is reopened."""
    from joblot import claim, report, retry, submit
    from joblot.wire import failure, success

    _forget()
    job = submit("claims", _keys(2 * items), pipeline=PIPELINE)

    def act() -> bool:
        leases = claim(PIPELINE, BATCH).leases
        for lease in leases:
            results = [failure(i.id, "Bad") if i.id % 2 else success(i.id) for i in lease.items]
            report(lease.token, results)
        return bool(leases)

    storm(lambda number: act, handlers=HELPERS, seconds=FOREVER)
    retry(job.pk)
    return _claimer()


def _usual_queue(items: int) -> Callable[[int], Act]:
    """Item rows with a state, a partial index, and SKIP LOCKED, as in most queues."""
    from django.db import connection

    _forget()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS usual")
        cursor.execute("CREATE TABLE usual (id bigint PRIMARY KEY, state int, payload text)")
        cursor.execute("CREATE INDEX ON usual (id) WHERE state = 0")
        cursor.execute(
            "INSERT INTO usual SELECT n, 0, 'k' || n FROM generate_series(1, %s) n",
            [items + HANDLERS_MAX * WARM_UPS * BATCH],
        )
        cursor.execute("ANALYZE usual")

    def act() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE usual SET state = 1 WHERE id IN (SELECT id FROM usual WHERE state = 0 "
                "ORDER BY id LIMIT 16 FOR UPDATE SKIP LOCKED) RETURNING id, payload"
            )
            return bool(cursor.fetchall())

    def prepare(number: int) -> Act:
        for _ in range(WARM_UPS):
            act()
        return act

    return prepare


def _forget() -> None:
    """Empty the tables, as if new."""
    from django.db import connection

    with connection.cursor() as cursor:
        known = connection.introspection.table_names(cursor)
        tables = ", ".join(name for name in known if name.startswith("joblot_"))
        cursor.execute(f"TRUNCATE {tables}")


def _figures(rates: dict[str, Sequence[float]]) -> list[Figure]:
    flat = [
        figure(f"claims, last tenth / first tenth: {case}", [last / first], ">= 0.77")
        for case, (first, last) in rates.items()
        if not case.startswith("usual")
    ]
    for snapshot, must in (("", ">= 1.5"), (", old snapshot", ">= 10")):
        if f"one stage{snapshot}" in rates:
            ours, usual = rates[f"one stage{snapshot}"], rates[f"usual queue{snapshot}"]
            name = f"claims/s / the usual queue's, last tenth{snapshot}"
            flat.append(figure(name, [ours[1] / usual[1]], must))
    return flat


CASES: dict[str, Callable[[int], Callable[[int], Act]]] = {
    "one stage": _one_stage,
    "second stage": _second_stage,
    "after expiries": _after_expiries,
    "cancelled and retried": _cancelled_and_retried,
    "failed here and there and retried": _failed_and_retried,
    BASELINE: _usual_queue,
}

if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s")
