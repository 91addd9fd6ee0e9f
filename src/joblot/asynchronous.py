"""The everyday functions for async code: each `aNAME` awaits `NAME`, with its arguments and errors.

The calls run one after another in the thread that Django keeps for synchronous code; other
coroutines go on meanwhile. A call that has begun is carried out, also if the task that awaits it is
canceled. Items may come from an async iterator, which is read chunk by chunk while no transaction
is open.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import wraps
from itertools import islice
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import async_to_sync, sync_to_async

from joblot.ledger.claim.after_report import report
from joblot.ledger.claim.availability import next_job
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel, delete, pause, resume, start
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import release, renew, renew_many
from joblot.ledger.read.causes import causes
from joblot.ledger.read.history import events
from joblot.ledger.read.items import items, outputs
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import jobs, progress
from joblot.ledger.read.why import why
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import add_items, seal, submit

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
T = TypeVar("T")

_CHUNK_ITEMS = 500  # that are handed from one thread to the other at once


def _awaited(verb: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """The verb in the thread for synchronous code."""

    @wraps(verb)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return await sync_to_async(verb, thread_sensitive=True)(*args, **kwargs)

    call.__name__ = call.__qualname__ = f"a{verb.__name__}"
    return call


def _awaited_with_items(
    verb: Callable[Concatenate[A, Iterable[T], P], R],
) -> Callable[Concatenate[A, Iterable[T] | AsyncIterable[T], P], Awaitable[R]]:
    """The same for a verb whose second argument are items."""

    @wraps(verb)
    async def call(
        first: A, given: Iterable[T] | AsyncIterable[T] = (), /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        stream = _pulled(aiter(given)) if isinstance(given, AsyncIterable) else given
        return await sync_to_async(verb, thread_sensitive=True)(first, stream, *args, **kwargs)

    call.__name__ = call.__qualname__ = f"a{verb.__name__}"
    return call


def _pulled(stream: AsyncIterator[T]) -> Iterator[T]:
    """The items of an async iterator, read on the event loop that waits for this thread."""
    pull = async_to_sync(_chunk)
    while chunk := pull(stream):
        yield from chunk


async def _chunk(stream: AsyncIterator[T]) -> list[T]:
    chunk: list[T] = []
    async for one in stream:
        chunk.append(one)
        if len(chunk) >= _CHUNK_ITEMS:
            break
    return chunk


async def aoutputs(job_id: int, *, stage: str | None = None) -> AsyncIterator[tuple[str, Any]]:
    """`outputs`, for `async for`: the key and output of every item that succeeded, by number."""
    stream = outputs(job_id, stage=stage)
    pull = sync_to_async(lambda: list(islice(stream, _CHUNK_ITEMS)), thread_sensitive=True)
    while chunk := await pull():
        for one in chunk:
            yield one


asubmit = _awaited_with_items(submit)
aadd_items = _awaited_with_items(add_items)
aseal = _awaited(seal)
astart = _awaited(start)
apause = _awaited(pause)
aresume = _awaited(resume)
acancel = _awaited(cancel)
adelete = _awaited(delete)
aretry = _awaited(retry)
aedit = _awaited(edit)
aprogress = _awaited(progress)
ajobs = _awaited(jobs)
aitems = _awaited(items)
acauses = _awaited(causes)
aevents = _awaited(events)
alogs = _awaited(logs)
alog = _awaited(log)
awhy = _awaited(why)
aclaim = _awaited(claim)
anext_job = _awaited(next_job)
arenew = _awaited(renew)
arenew_many = _awaited(renew_many)
arelease = _awaited(release)
areport = _awaited(report)
