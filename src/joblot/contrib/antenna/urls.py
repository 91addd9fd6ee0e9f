"""The older protocol's URLs, each with and without a trailing slash.

The client would lose what it posts if it followed a redirect. It also drops its results on any
error, so posting results is exempt from rate limiting.
"""

from __future__ import annotations

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.urls import re_path

from joblot.api.problems import of_path
from joblot.api.sizes import takes_body_of
from joblot.contrib.antenna.edge import edge
from joblot.contrib.antenna.jobs import list_jobs
from joblot.contrib.antenna.limits import antenna_limits
from joblot.contrib.antenna.projects import list_projects, post_pipelines
from joblot.contrib.antenna.results import post_results
from joblot.contrib.antenna.tasks import post_tasks

if not apps.is_installed("joblot.contrib.antenna"):
    raise ImproperlyConfigured(
        'joblot.contrib.antenna.urls: expected "joblot.contrib.antenna" in INSTALLED_APPS, which '
        "takes settings.JOBLOT_ANTENNA; add it there"
    )

_AT = "^antenna/api/v2/"
_NUMBER = r"(?P<{}>[0-9]{{1,19}})"
_JOB, _PROJECT = _NUMBER.format("job"), _NUMBER.format("project")

# The worker posts whole batches of detections at once, and can't split them.
_large = takes_body_of(lambda: antenna_limits().body_bytes_max)
_post_results = _large(edge(POST=post_results, counted=False))

urlpatterns = [
    re_path(rf"{_AT}jobs/?$", edge(GET=list_jobs)),
    re_path(rf"{_AT}jobs/{_JOB}/tasks/?$", edge(POST=post_tasks)),
    re_path(rf"{_AT}jobs/{_JOB}/result/?$", _post_results),
    re_path(rf"{_AT}projects/?$", edge(GET=list_projects)),
    re_path(rf"{_AT}projects/{_PROJECT}/pipelines/?$", edge(POST=post_pipelines, status=201)),
    re_path(r"^antenna/", of_path),
]
