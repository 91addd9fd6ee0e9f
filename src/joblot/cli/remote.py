"""The ledger of a server, over HTTP. Imports no Django."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any
from urllib.parse import quote

import httpx

from joblot.cli.ledger import Row
from joblot.config import limits
from joblot.errors import NotFound, Unavailable
from joblot.worker.connection import CONNECT_SECONDS_MAX, Connection, is_own
from joblot.worker.token import Token

# A server's statements end earlier; a stream sends something more often.
TIMEOUT = httpx.Timeout(180.0, connect=CONNECT_SECONDS_MAX)


class RemoteLedger:
    """A `Ledger`, by the API of the server at `url`, with the token of the environment.

    Without a token, a local URL means this user's own server. A problem that the server describes
    is raised as the same error that the verb raises. Raises InvalidInput for a malformed URL.
    """

    def __init__(self, url: str) -> None:
        token = Token.of(None)
        self._url = url
        self._server = Connection(url, token, own=is_own(url, token))

    def close(self) -> None:
        self._server.close()

    def jobs(self, *, before: int | None, limit: int, **filters: str) -> Sequence[Row]:
        page = self._get("jobs", before=before, limit=limit, **filters)
        return page["jobs"]  # type: ignore[no-any-return]

    def progress(self, job: int) -> Row:
        return self._get(f"jobs/{job}")  # type: ignore[no-any-return]

    def why(self, job: int) -> Row:
        return self._get(f"jobs/{job}/why")  # type: ignore[no-any-return]

    def summary(self, job: int) -> Row:
        return self._get(f"jobs/{job}/summary")  # type: ignore[no-any-return]

    def causes(self, job: int, *, stage: str | None, limit: int) -> Row:
        return self._get(f"jobs/{job}/causes", stage=stage, limit=limit)  # type: ignore[no-any-return]

    def items(
        self, job: int, *, keys: Sequence[str] | None, **which: Any
    ) -> tuple[Sequence[Row], int | None]:
        page = self._get(f"jobs/{job}/items", key=keys, **which)
        return page["items"], page["next"]

    def results(self, job: int, *, state: str | None, stage: str | None) -> Iterator[Row]:
        after: int | None = -1
        while after is not None:
            page = self._get(f"jobs/{job}/results", state=state, stage=stage, after=after)
            yield from page["results"]
            after = page["next"]

    def logs(self, job: int, *, after: int, limit: int, item: int | None) -> Sequence[Row]:
        return self._get(f"jobs/{job}/logs", after=after, limit=limit, item=item)["logs"]  # type: ignore[no-any-return]

    def events(self, job: int, *, after: int, limit: int) -> Sequence[Row]:
        return self._get(f"jobs/{job}/events", after=after, limit=limit)["events"]  # type: ignore[no-any-return]

    def workers(self) -> Sequence[Row]:
        return self._get("workers")["workers"]  # type: ignore[no-any-return]

    def revoke_worker(self, owner: int, worker: str, *, reason: str) -> int:
        asked = {"owner": owner, "instance": worker, "reason": reason}
        return int(self._ask("POST", "workers/revoke", asked)["released"])

    def restore_worker(self, owner: int, worker: str, *, reason: str) -> None:
        asked = {"owner": owner, "instance": worker, "reason": reason}
        self._ask("POST", "workers/restore", asked)

    def pipelines(self) -> Sequence[Row]:
        return self._get("pipelines")["pipelines"]  # type: ignore[no-any-return]

    def edit_pipeline(self, pipeline: str, policy: Mapping[str, Any], *, reason: str) -> Row:
        asked = {"pipeline": pipeline, "policy": policy, "reason": reason}
        return self._ask("PATCH", "pipelines", asked)  # type: ignore[no-any-return]

    def submit(self, items: Iterable[Any] | None, **asked: Any) -> Row:
        """Post the first items with the job; stream the others into it, then seal it.

        So a job of few items is made by one request, and no bad item among the first leaves a job.
        """
        seal = asked.pop("seal")
        if items is None:
            return self._create(asked, None, seal=seal)
        rest = iter(items)
        first, ended = _first(rest)
        if ended:
            return self._create(asked, first, seal=seal)
        job = int(self._create(asked, first, seal=False)["id"])
        return self._fill(job, first, rest, seal=seal, counted=bool(asked["idempotency_key"]))

    def _fill(
        self, job: int, first: Sequence[Any], rest: Iterator[Any], *, seal: bool, counted: bool
    ) -> Row:
        """Stream the rest into the job. `counted`: it may have more items than these, which is an
        error that only their number shows.
        """
        keys = _Keys(first)
        sent = keys.through(rest) if counted else rest
        self._server.send_lines(f"jobs/{job}/items", sent, timeout=TIMEOUT)
        if not seal:
            return self.progress(job)
        return self._change(job, "seal", total=len(keys) if counted else None)

    def start(self, job: int, *, reason: str) -> Row:
        return self._change(job, "start", reason=reason)

    def pause(self, job: int, *, reason: str) -> Row:
        return self._change(job, "pause", reason=reason)

    def resume(self, job: int, *, reason: str) -> Row:
        return self._change(job, "resume", reason=reason)

    def seal(self, job: int, *, reason: str) -> Row:
        return self._change(job, "seal", reason=reason)

    def cancel(self, job: int, *, grace_seconds: float | None, reason: str) -> Row:
        return self._change(job, "cancel", grace_seconds=grace_seconds, reason=reason)

    def retry(self, job: int, *, start_now: bool, **how: Any) -> Row:
        return self._change(job, "retry", start=start_now, **how)

    def ask(self, act: str, given: Mapping[str, str]) -> Row:
        return self._get(f"jobs/bulk/{act}", **given)  # type: ignore[no-any-return]

    def act_on_all(self, act: str, given: Mapping[str, str], **seen: Any) -> Row:
        return self._ask("POST", f"jobs/bulk/{act}", {"filter": given, **_given(**seen)})  # type: ignore[no-any-return]

    def edit(self, job: int, *, reason: str, **changes: Any) -> Row:
        asked = {**_given(**changes), "reason": reason}
        return self._ask("PATCH", f"jobs/{job}", asked)  # type: ignore[no-any-return]

    def delete(self, job: int, *, reason: str) -> None:
        self._ask("DELETE", f"jobs/{job}", params={"reason": reason})

    def audit(self, job: int) -> Row:
        return self._get(f"jobs/{job}/audit")  # type: ignore[no-any-return]

    def repair(self, job: int) -> Row:
        return self._change(job, "repair")

    def audit_all(self) -> Iterator[Row]:
        for job in reversed(list(self._job_ids())):
            try:
                yield {"job": job, **self.audit(job)}
            except NotFound:  # deleted in the meantime
                continue

    def expire(self, lease: str) -> bool:
        answer = self._ask("POST", f"leases/{quote(lease, safe='')}/expire", {})
        return bool(answer["expired"])

    def prune(self, older_than: timedelta) -> int:
        removed = 0
        while True:
            asked = {"older_than_seconds": older_than.total_seconds()}
            answer = self._ask("POST", "prune", asked)
            removed += int(answer["removed"])
            if not answer["more"]:
                return removed

    def subscribe(
        self, url: str, *, kinds: Sequence[str] | None, project: str | None
    ) -> tuple[str, Row]:
        made = self._ask("POST", "webhooks", _given(url=url, kinds=kinds or None, project=project))
        return made.pop("secret"), made

    def webhooks(self) -> Sequence[Row]:
        return self._get("webhooks")["webhooks"]  # type: ignore[no-any-return]

    def end_webhook(self, webhook: int) -> Row:
        return self._ask("DELETE", f"webhooks/{webhook}")  # type: ignore[no-any-return]

    def deliveries(
        self, webhook: int, *, state: str | None, before: int | None, limit: int
    ) -> Sequence[Row]:
        asked = {"state": state, "before": before, "limit": limit}
        return self._get(f"webhooks/{webhook}/deliveries", **asked)["deliveries"]  # type: ignore[no-any-return]

    def resend(self, delivery: int) -> Row:
        return self._ask("POST", f"webhooks/deliveries/{delivery}/resend", {})  # type: ignore[no-any-return]

    def how_to_go_on(self, job: int) -> str | None:
        return None  # `joblot run` works with the database itself

    def lacks_items(self, job: int) -> bool:
        return False

    def _job_ids(self) -> Iterator[int]:
        """All of them, the newest first."""
        before: int | None = None
        while True:
            page = self._get("jobs", before=before, limit=1_000)
            yield from (job["id"] for job in page["jobs"])
            before = page["next"]
            if before is None:
                return

    def _create(self, asked: dict[str, Any], items: list[Any] | None, *, seal: bool) -> Row:
        given = _given(**asked, items=items)
        return self._ask("POST", "jobs", {**given, "seal": seal})  # type: ignore[no-any-return]

    def _change(self, job: int, verb: str, **how: Any) -> Row:
        return self._ask("POST", f"jobs/{job}/{verb}", _given(**how))  # type: ignore[no-any-return]

    def _get(self, path: str, **asked: Any) -> Any:
        return self._ask("GET", path, params=_given(**asked))

    def _ask(self, method: str, path: str, given: Any = None, **how: Any) -> Any:
        try:
            return self._server.request(method, path, given, timeout=TIMEOUT, **how)
        except Unavailable as error:
            if isinstance(error.__cause__, httpx.HTTPError):
                error.args = (f"the server at {self._url} does not answer: {error}",)
            raise


def _first(items: Iterator[Any]) -> tuple[list[Any], bool]:
    """The items of a first request, and whether these are all."""
    first: list[Any] = []
    size = 0
    for item in items:
        first.append(item)
        size += len(json.dumps(item))
        if len(first) == limits().add_chunk_items or size > limits().add_chunk_bytes:
            return first, False
    return first, True


class _Keys:
    """How many different keys a stream has; holds a hash of each."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._hashes: set[bytes] = set()
        for item in items:
            self._add(item)

    def __len__(self) -> int:
        return len(self._hashes)

    def through(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self._add(item)
            yield item

    def _add(self, item: Any) -> None:
        key = item["key"] if isinstance(item, dict) else item
        self._hashes.add(blake2b(str(key).encode(errors="replace"), digest_size=12).digest())


def _given(**asked: Any) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}
