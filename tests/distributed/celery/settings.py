"""The settings of the suite, with the app that submits callbacks."""

from tests.settings import *  # noqa: F403 (as a project's settings for a stage do)
from tests.settings import INSTALLED_APPS as KNOWN

INSTALLED_APPS = [*KNOWN, "joblot.contrib.celery"]
