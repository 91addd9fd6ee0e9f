"""Jobs in Django's admin: view, rename and reprioritize them. The verbs are not available."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from joblot.models import Job

if TYPE_CHECKING:  # at run time Django's class takes no type parameter
    _JobAdmin = admin.ModelAdmin[Job]
else:
    _JobAdmin = admin.ModelAdmin


@admin.register(Job)
class JobAdmin(_JobAdmin):
    list_display = ("id", "name", "project", "status", "run", "total", "created_at", "finished_at")
    list_filter = ("status", "project")
    search_fields = ("name",)
    fields: ClassVar[tuple[str, ...]] = (
        *sorted(Job.ADOPTER_FIELDS),
        "status",
        "run",
        "revision",
        "sealed",
        "total",
        "config",
        "policy",
        "recorded",
        "created_at",
        "started_at",
        "finished_at",
    )
    readonly_fields = fields[len(Job.ADOPTER_FIELDS) :]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
