"""A receiver's project with the app of the page: `python django_receiver.py FOLDER SECRET`.

Sends it the same message twice, and a forged one; prints the answers and the stored rows.
"""

from __future__ import annotations

import json
import sys
import time
from types import ModuleType

import django
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import path

from joblot.webhooks.signature import sign

folder, secret = sys.argv[1:]
sys.path.insert(0, folder)
urls = ModuleType("urls")
sys.modules["urls"] = urls
settings.configure(
    SECRET_KEY="only for tests",
    ROOT_URLCONF="urls",
    ALLOWED_HOSTS=["testserver"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["receiving"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db"}},
    WEBHOOK_SECRET=secret,
)
django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)

from receiving.models import Received, Report  # type: ignore[import-not-found]  # noqa: E402
from receiving.views import job_ended  # type: ignore[import-not-found]  # noqa: E402

urls.urlpatterns = [path("hook", job_ended)]  # type: ignore[attr-defined]

BODY = json.dumps(
    {"type": "job.finished", "timestamp": "2030", "data": {"job": 7, "status": "SUCCESS"}}
).encode()


def send(signature: str | None = None) -> int:
    at = int(time.time())
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(at),
        "webhook-signature": signature or sign(secret, "m1", at, BODY),
    }
    answer = Client().post("/hook", BODY, content_type="application/json", headers=headers)
    return int(answer.status_code)


answers = [send("v1,AAAA"), send(), send()]
kept = list(Report.objects.values_list("job", "status"))
sys.stdout.write(json.dumps([answers, kept, Received.objects.count()]))
