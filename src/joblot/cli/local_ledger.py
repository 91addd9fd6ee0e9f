"""The ledger in a database, by its verbs. Django is set up already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from joblot.cli import plan, verbs
from joblot.cli.ledger import Row
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.rows.author import AuthorFields
from joblot.operator_name import operator, own_names


class LocalLedger:
    """A `Ledger`."""

    def jobs(self, *, before: int | None, limit: int, **filters: str) -> Sequence[Row]:
        wanted = JobFilters.of(filters, me=own_names())
        return verbs.listing(wanted, before=before, limit=limit)

    def progress(self, job: int) -> Row:
        return verbs.progress(job)

    def why(self, job: int) -> Row:
        return dict(verbs.why(job))

    def summary(self, job: int) -> Row:
        return verbs.summary(job)

    def causes(self, job: int, *, stage: str | None, limit: int) -> Row:
        return verbs.causes(job, stage=stage, limit=limit)

    def items(self, job: int, **which: Any) -> tuple[Sequence[Row], int | None]:
        page = verbs.items(job, **which)
        return page, page.next

    def results(self, job: int, *, state: str | None, stage: str | None) -> Iterator[Row]:
        return verbs.results(job, state=state, stage=stage)

    def logs(self, job: int, *, after: int, limit: int, item: int | None) -> Sequence[Row]:
        return verbs.logs(job, after=after, limit=limit, item=item)

    def events(self, job: int, *, after: int, limit: int) -> Sequence[Row]:
        return verbs.events(job, after=after, limit=limit)

    def workers(self) -> Sequence[Row]:
        return verbs.workers()

    def revoke_worker(self, owner: int, worker: str, *, reason: str) -> int:
        return verbs.revoke_worker(owner, worker, actor=operator(), reason=reason)

    def restore_worker(self, owner: int, worker: str, *, reason: str) -> None:
        verbs.restore_worker(owner, worker, actor=operator(), reason=reason)

    def pipelines(self) -> Sequence[Row]:
        return verbs.pipelines()

    def edit_pipeline(self, pipeline: str, policy: Mapping[str, Any], *, reason: str) -> Row:
        return verbs.edit_pipeline(pipeline, policy=policy, actor=operator(), reason=reason)

    def submit(self, items: Iterable[Any] | None, **asked: Any) -> Row:
        asked["project"] = asked["project"] or "default"
        return verbs.progress(verbs.submit(items=items, actor=operator(), **asked).pk)

    def start(self, job: int, *, reason: str) -> Row:
        return verbs.progress(verbs.start(job, actor=operator(), reason=reason).pk)

    def pause(self, job: int, *, reason: str) -> Row:
        return verbs.progress(verbs.pause(job, actor=operator(), reason=reason).pk)

    def resume(self, job: int, *, reason: str) -> Row:
        return verbs.progress(verbs.resume(job, actor=operator(), reason=reason).pk)

    def seal(self, job: int, *, reason: str) -> Row:
        return verbs.progress(verbs.seal(job, actor=operator(), reason=reason).pk)

    def cancel(self, job: int, *, grace_seconds: float | None, reason: str) -> Row:
        by = operator()
        changed = verbs.cancel(job, grace_seconds=grace_seconds, actor=by, reason=reason)
        return verbs.progress(changed.pk)

    def retry(self, job: int, **how: Any) -> Row:
        return verbs.progress(verbs.retry(job, actor=operator(), **how).pk)

    def ask(self, act: str, given: Mapping[str, str]) -> Row:
        return verbs.ask(act, given, me=own_names())

    def act_on_all(self, act: str, given: Mapping[str, str], *, reason: str, **seen: Any) -> Row:
        by: AuthorFields = {"actor": operator(), "reason": reason}
        return verbs.act_on_all(act, given, by=by, me=own_names(), **seen)

    def edit(self, job: int, *, reason: str, **changes: Any) -> Row:
        edited = verbs.edit(job, actor=operator(), reason=reason, **changes)
        return verbs.progress(edited.pk)

    def delete(self, job: int, *, reason: str) -> None:
        verbs.delete(job, actor=operator(), reason=reason)

    def audit(self, job: int) -> Row:
        return verbs.audit(job)

    def repair(self, job: int) -> Row:
        return verbs.repair(job)

    def audit_all(self) -> Iterator[Row]:
        return verbs.audit_all()

    def expire(self, lease: str) -> bool:
        return verbs.expire(lease)

    def prune(self, older_than: timedelta) -> int:
        return verbs.prune(older_than)

    def subscribe(
        self, url: str, *, kinds: Sequence[str] | None, project: str | None
    ) -> tuple[str, Row]:
        given = {"kinds": kinds} if kinds else {}
        return verbs.subscribe(url, project=project, **given)

    def webhooks(self) -> Sequence[Row]:
        return verbs.webhooks()

    def end_webhook(self, webhook: int) -> Row:
        return verbs.end(webhook)

    def deliveries(
        self, webhook: int, *, state: str | None, before: int | None, limit: int
    ) -> Sequence[Row]:
        return verbs.deliveries(webhook, state=state, before=before, limit=limit)

    def resend(self, delivery: int) -> Row:
        return verbs.resend(delivery)

    def how_to_go_on(self, job: int) -> str | None:
        return plan.how_to_go_on(verbs.read_job(job))

    def lacks_items(self, job: int) -> bool:
        found = verbs.read_job(job)
        return plan.is_of_run(found) and not found.sealed
