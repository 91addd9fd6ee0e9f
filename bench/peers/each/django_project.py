"""The settings of the peers that are parts of Django: called before their modules are imported."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command


def set_up(*apps: str, **more: Any) -> None:
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
    }
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=apps,
        SECRET_KEY="of a benchmark",
        USE_TZ=True,
        DEBUG=False,
        **more,
    )
    django.setup()


def migrate() -> None:
    call_command("migrate", verbosity=0)
