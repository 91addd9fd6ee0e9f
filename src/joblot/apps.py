"""The Django app."""

from django.apps import AppConfig
from django.conf import settings

from joblot import config


class JoblotConfig(AppConfig):
    name = "joblot"
    verbose_name = "joblot"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from joblot import checks  # noqa: F401, PLC0415 (registers the system checks)
        from joblot.webhooks import spread  # noqa: F401, PLC0415 (registers its handler)

        config.configure(getattr(settings, "JOBLOT", {}))
