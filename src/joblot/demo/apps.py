"""The demo as a Django app. Its hooks are registered by its workers alone, not by `ready`."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "joblot.demo"
    label = "joblot_demo"
    verbose_name = "joblot's demo"
    default_auto_field = "django.db.models.BigAutoField"
