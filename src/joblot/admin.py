"""Django's admin: browse jobs, events, logs, workers, tokens and webhooks; act through the verbs.

Nothing is added or deleted here. Of a job, the fields that a project may save are editable; all
other changes are actions that call a verb, after a page that asks for confirmation. Items have a
composite primary key, which the admin can't show; a job's page links to joblot's own page of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from joblot.errors import JoblotError
from joblot.identity.tokens import revoke
from joblot.ledger.job import lifecycle
from joblot.ledger.job.retry import retry
from joblot.models import Event, Job, Log, Token, Webhook, WorkerInstance
from joblot.webhooks.subscriptions import end

if TYPE_CHECKING:  # at run time Django's class takes no type parameter
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

Act = Callable[[Any], object]


def _by(request: HttpRequest, verb: Callable[..., object]) -> Act:
    """The verb for a job, by the user of this request."""
    actor = request.user.get_username()
    return lambda job: verb(job.pk, actor=actor)


class ReadOnlyAdmin(_ModelAdmin):
    """Rows that can be read, and changed only by actions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        hidden = self._editable.union(self.exclude or ())
        return [field.name for field in self.opts.fields if field.name not in hidden]

    _editable: ClassVar[frozenset[str]] = frozenset()

    def confirmed(
        self, request: HttpRequest, rows: models.QuerySet[Any], verb: str, means: str, act: Act
    ) -> HttpResponse | None:
        """Ask first; once confirmed, call the verb for each row, and report what was refused."""
        found = list(rows)
        if request.POST.get("confirmed") != verb:
            context = {
                **self.admin_site.each_context(request),
                "title": f"{verb.capitalize()} {len(found)} {self.opts.verbose_name_plural}?",
                "verb": verb,
                "means": means,
                "rows": found,
                "opts": self.opts,
                "action": request.POST.get("action"),
            }
            return TemplateResponse(request, "joblot/admin/confirm.html", context)
        done = sum(self._acted(request, row, act) for row in found)
        self.message_user(request, f"{verb}: {done} of {len(found)} done")
        return None

    def _acted(self, request: HttpRequest, row: Any, act: Act) -> bool:
        try:
            act(row)
        except JoblotError as error:
            self.message_user(request, f"{row}: {error}", messages.ERROR)
            return False
        return True


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "project", "status", "run", "total", "created_at", "finished_at")
    list_filter = ("status", "project")
    search_fields = ("name",)
    actions = ("start", "pause", "resume", "cancel", "retry")
    _editable = Job.ADOPTER_FIELDS
    fields: ClassVar[tuple[str, ...]] = (
        *sorted(Job.ADOPTER_FIELDS),
        "status",
        "run",
        "revision",
        "sealed",
        "total",
        "items",
        "config",
        "policy",
        "recorded",
        "created_at",
        "started_at",
        "finished_at",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), "items"]

    @admin.display(description="items")
    def items(self, job: Job) -> str:
        """A link to joblot's page of the job, where the project mounts it."""
        try:
            url = reverse("joblot_web:job", args=[job.pk])
        except NoReverseMatch:
            return "the pages are not mounted: include joblot.urls"
        return format_html('<a href="{}">states, failures and items</a>', url)

    @admin.action(description="Start", permissions=["change"])
    def start(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        means = "Their items can be claimed from now on."
        return self.confirmed(request, rows, "start", means, _by(request, lifecycle.start))

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        means = "No more leases are granted; results of leases in flight still count."
        return self.confirmed(request, rows, "pause", means, _by(request, lifecycle.pause))

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        means = "Leases are granted again."
        return self.confirmed(request, rows, "resume", means, _by(request, lifecycle.resume))

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        means = (
            "They end without their open items. Leases in flight may report until the grace "
            "period of their policy is over."
        )
        return self.confirmed(request, rows, "cancel", means, _by(request, lifecycle.cancel))

    @admin.action(description="Retry what did not succeed", permissions=["change"])
    def retry(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        means = "The next run begins, with the items that did not succeed."
        return self.confirmed(request, rows, "retry", means, _by(request, retry))


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "run", "revision", "kind", "at", "dispatched_at", "tries")
    list_filter = ("kind",)
    search_fields = ("=job_id",)


@admin.register(Log)
class LogAdmin(ReadOnlyAdmin):
    list_display = ("id", "job_id", "level", "message", "at")
    list_filter = ("level",)
    search_fields = ("=job_id", "message")


@admin.register(WorkerInstance)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("instance", "owner", "first_seen_at", "last_seen_at")
    search_fields = ("instance",)


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens, without their secret's hash. `joblot token create` makes one."""

    list_display = ("name", "public_id", "scopes", "projects", "created_at", "revoked_at")
    search_fields = ("name", "public_id")
    exclude = ("secret_hash",)
    actions = ("revoke",)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        means = "Requests with these tokens are refused at once; leases stay until they expire."
        return self.confirmed(request, rows, "revoke", means, lambda token: revoke(token.public_id))


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Webhooks, without their secret."""

    list_display = ("id", "url", "kinds", "project", "created_at", "ended_at")
    exclude = ("secret",)
    actions = ("end",)

    @admin.action(description="End", permissions=["change"])
    def end(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        means = "They get no more events."
        return self.confirmed(request, rows, "end", means, lambda webhook: end(webhook.pk))
