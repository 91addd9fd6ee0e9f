"""Failures by cause, for people: one paragraph per cause, however many items failed for it."""

from __future__ import annotations

from typing import Any

from joblot.cli.terminal import Lines
from joblot.shown import counted

Cause = dict[str, Any]


def brief(found: dict[str, Any], console: Lines) -> None:
    """The most frequent causes of a summary, if anything failed; and how to see the others."""
    job, answer = found["job"]["id"], found["causes"]
    paragraphs(job, answer, console)
    if answer["other"]:
        more = counted(answer["other"], "item")
        console.print(f"and {more} failed for other causes: joblot causes {job}")


def paragraphs(
    job: int, answer: dict[str, Any], console: Lines, *, with_traceback: bool = False
) -> None:
    """Each cause; with its traceback if that is wanted, or if there is no other cause."""
    only = len(answer["causes"]) == 1 and not answer["other"]
    for cause in answer["causes"]:
        share = cause["items"] * 100 // answer["total"]
        message = f"{cause['type']}: {cause['message']}" if cause["message"] else cause["type"]
        lines = [f"{counted(cause['items'], 'item')} ({share} %): {message}"]
        lines += [f"  {line}" for line in (examples(job, cause), circumstances(cause))]
        for line in lines:
            console.print(f"  {line}")
        for line in cause["traceback"].splitlines() if with_traceback or only else ():
            console.print(f"    {line}", soft_wrap=True)


def examples(job: int, cause: Cause) -> str:
    keys = ", ".join(sample["key"] for sample in cause["samples"])
    more = cause["items"] - len(cause["samples"])
    listed = f" and {more:,} more: joblot items {job} --cause {cause['cause']}" if more else ""
    return keys + listed


def circumstances(cause: Cause) -> str:
    since, until = (cause[name][:19].replace("T", " ") for name in ("first_at", "last_at"))
    span = f"at {since}" if since == until else f"from {since} to {until}"
    return f"cause {cause['cause']}, {where(cause)}, {span} UTC"


def where(cause: Cause) -> str:
    """Which workers reported the items, as far as that is known."""
    names = [name or "a worker without a name" for name in cause["workers"]]
    more = cause["workers_total"] - len(names)
    listed = ", ".join(names) + (f" and {more:,} more" if more else "")
    if cause["workers_of"] < cause["items"]:
        return f"the first {cause['workers_of']:,} on {listed}"
    return f"all on {listed}" if cause["items"] > 1 and len(names) == 1 else f"on {listed}"
