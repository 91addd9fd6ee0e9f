"""A user's project: the admin, joblot, a hook, and an ordinary TestCase for it.

`python project.py check|test DIRECTORY`, run by test_django.py.
"""

from __future__ import annotations

import sys
import unittest
from collections.abc import Sequence
from pathlib import Path

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

from django.contrib.auth.models import Group, User  # noqa: E402 (Django is set up before)

from joblot import PermanentError, claim, on_result, progress, report, submit  # noqa: E402
from joblot.admin import JobAdmin  # noqa: E402
from joblot.ledger.report.hooks import SettledResult  # noqa: E402
from joblot.models import Job  # noqa: E402
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

    def test_a_job_is_not_added_or_deleted(self) -> None:
        jobs = JobAdmin(Job, admin.site)
        assert not jobs.has_add_permission(HttpRequest())
        assert not jobs.has_delete_permission(HttpRequest())


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
