"""Who may see and operate which project's jobs, beside Django's own users and permissions."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Membership(models.Model):
    """A user's role in a project, or with `project` null in all of them."""

    class Role(models.TextChoices):
        READER = "reader"  # sees jobs
        OPERATOR = "operator"  # also starts, pauses, cancels, retries and edits them

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="joblot_memberships"
    )
    project = models.CharField(max_length=200, null=True, blank=True)
    role = models.CharField(max_length=8, choices=Role, default=Role.READER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="joblot_web_in_project"),
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(project=None), name="joblot_web_in_all"
            ),
        ]
        permissions = (
            ("view_jobs", "Can see the jobs of all projects"),
            ("operate_jobs", "Can see and operate the jobs of all projects"),
        )

    def __str__(self) -> str:
        return f"{self.user}: {self.role} of {self.project or 'all projects'}"
