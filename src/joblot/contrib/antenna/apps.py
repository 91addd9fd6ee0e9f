"""The Django app. It has no tables; it takes the settings of the protocol and checks them."""

from django.apps import AppConfig
from django.conf import settings

from joblot.contrib.antenna.limits import configure


class AntennaConfig(AppConfig):
    name = "joblot.contrib.antenna"
    label = "joblot_antenna"  # a project may have its own app "antenna"
    verbose_name = "joblot: Antenna's protocol"

    def ready(self) -> None:
        from joblot.contrib.antenna import checks  # noqa: F401, PLC0415 (registers the check)

        configure(getattr(settings, "JOBLOT_ANTENNA", {}))
