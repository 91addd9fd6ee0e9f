"""Where the older protocol is, each path with and without a slash at its end.

The client would lose what it posts by following a redirect. And it drops what it has computed on
any refusal, so results are never a request too many.
"""

from __future__ import annotations

from django.urls import re_path

from joblot.api.problems import of_path
from joblot.contrib.antenna.edge import edge
from joblot.contrib.antenna.jobs import list_jobs
from joblot.contrib.antenna.projects import list_projects, post_pipelines
from joblot.contrib.antenna.results import post_results
from joblot.contrib.antenna.tasks import post_tasks

_AT = "^antenna/api/v2/"
_NUMBER = r"(?P<{}>[0-9]{{1,19}})"
_JOB, _PROJECT = _NUMBER.format("job"), _NUMBER.format("project")

urlpatterns = [
    re_path(rf"{_AT}jobs/?$", edge(GET=list_jobs)),
    re_path(rf"{_AT}jobs/{_JOB}/tasks/?$", edge(POST=post_tasks)),
    re_path(rf"{_AT}jobs/{_JOB}/result/?$", edge(POST=post_results, counted=False)),
    re_path(rf"{_AT}projects/?$", edge(GET=list_projects)),
    re_path(rf"{_AT}projects/{_PROJECT}/pipelines/?$", edge(POST=post_pipelines, status=201)),
    re_path(r"^antenna/", of_path),
]
