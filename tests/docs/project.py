"""A user's project: the admin, joblot, a hook, and an ordinary TestCase for it.

`python project.py check|test DIRECTORY`, run by test_django.py.
"""

from __future__ import annotations

import sys
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.contrib import admin
from django.core.management import call_command
from django.http import HttpRequest
from django.test import TestCase
from django.test.runner import DiscoverRunner
from django.urls import path

settings.configure(
    SECRET_KEY="only for tests",
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "joblot",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(Path(sys.argv[2]) / "project.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }
    },
)
django.setup()

from django.contrib.auth.models import (  # noqa: E402 (Django is set up before)
    Group,
    Permission,
    User,
)

from joblot import PermanentError, claim, on_result, progress, report, submit  # noqa: E402
from joblot.identity.tokens import issue  # noqa: E402
from joblot.ledger.report.hooks import SettledResult  # noqa: E402
from joblot.ledger.rows.workers import seen  # noqa: E402
from joblot.models import Job, Log, Token  # noqa: E402
from joblot.webhooks import subscribe  # noqa: E402
from joblot.wire import success  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls)]


@on_result("shrink")
def save(results: Sequence[SettledResult]) -> None:
    for result in results:
        if result.output is None:
            raise PermanentError(f"{result.key} has no width")
    Group.objects.bulk_create(Group(name=result.key) for result in results)


class SaveTest(TestCase):
    def test_what_is_counted_is_saved(self) -> None:
        job = submit("t", ["a.jpg", "b.jpg", "c.jpg"], pipeline="shrink")
        (lease,) = claim("shrink").leases
        receipts = report(lease.token, [success(0, 125), success(1, None), success(2, 125)])
        assert [one.receipt for one in receipts] == ["counted"] * 3
        assert [group.name for group in Group.objects.order_by("id")] == ["a.jpg", "c.jpg"]
        assert progress(job.pk)["status"] == "COMPLETED_WITH_ERRORS"


class AdminTest(TestCase):
    def setUp(self) -> None:
        self.client.force_login(User.objects.create_superuser("root"))
        self.job = submit("before", ["a"], pipeline="elsewhere")

    def test_a_job_is_seen_and_renamed(self) -> None:
        self.assertContains(self.client.get("/admin/joblot/job/"), "before")
        page = f"/admin/joblot/job/{self.job.pk}/change/"
        self.assertContains(self.client.get(page), "PENDING")
        changes = {"name": "after", "project": "p", "priority": "3", "status": "SUCCESS"}
        assert self.client.post(page, changes).status_code == 302
        job = Job.objects.get(pk=self.job.pk)
        assert (job.name, job.priority, job.status) == ("after", 3, "PENDING")

    def test_nothing_is_added_or_deleted(self) -> None:
        for model, shown in admin.site._registry.items():
            if model._meta.app_label == "joblot":
                assert not shown.has_add_permission(HttpRequest())
                assert not shown.has_delete_permission(HttpRequest())

    def act(self, action: str, **more: str) -> Any:
        asked = {"action": action, "_selected_action": [str(self.job.pk)], **more}
        return self.client.post("/admin/joblot/job/", asked, follow=True)

    def test_a_verb_is_called_once_it_is_confirmed(self) -> None:
        self.assertContains(self.act("cancel"), "end without their open items")
        assert progress(self.job.pk)["status"] == "PENDING"
        self.assertContains(self.act("cancel", confirmed="cancel"), "Cancel: 1 of 1 done")
        assert progress(self.job.pk)["status"] == "REVOKED"
        self.assertContains(self.act("pause", confirmed="pause"), "Pause: 0 of 1 done")
        self.assertContains(self.act("retry", confirmed="retry"), "Retry: 1 of 1 done")
        assert progress(self.job.pk)["run"] == 2

    def test_a_user_who_may_only_view_has_no_actions(self) -> None:
        viewer = User.objects.create_user("viewer", is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_job"))
        self.client.force_login(viewer)
        self.assertNotContains(self.client.get("/admin/joblot/job/"), "Pause")
        self.act("pause", confirmed="pause")
        assert progress(self.job.pk)["status"] == "PENDING"

    def test_every_table_is_browsed_and_no_secret_is_shown(self) -> None:
        issue("ci", ["work"])
        secret, _ = subscribe("http://example.org/hook")
        Log.ledger.create(job_id=self.job.pk, run=1, level="info", message="a line")
        seen(0, "gpu-7")
        for model in admin.site._registry:
            if model._meta.app_label != "joblot":
                continue
            root = f"/admin/joblot/{model._meta.model_name}/"
            assert self.client.get(root).status_code == 200, root
            row = model._default_manager.first()
            assert row is not None, root
            page = self.client.get(f"{root}{row.pk}/change/")
            assert page.status_code == 200, root
            assert secret not in page.content.decode()
            assert "secret" not in page.content.decode().lower()

    def test_a_token_is_revoked(self) -> None:
        issue("ci", ["work"])
        pk = str(Token.objects.get(name="ci").pk)
        asked = {"action": "revoke", "_selected_action": [pk], "confirmed": "revoke"}
        self.assertContains(
            self.client.post("/admin/joblot/token/", asked, follow=True), "Revoke: 1 of 1 done"
        )
        assert Token.objects.get(name="ci").revoked_at is not None


def _test() -> int:
    runner = DiscoverRunner(verbosity=0)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite(map(loader.loadTestsFromTestCase, (SaveTest, AdminTest)))
    result = runner.run_suite(suite)
    runner.teardown_databases(databases)
    return len(result.failures) + len(result.errors)


if __name__ == "__main__":
    if sys.argv[1] == "check":
        call_command("check", fail_level="WARNING")
    else:
        sys.exit(_test())
