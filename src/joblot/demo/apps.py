"""The demo as a Django app. Only its workers register its hooks; `ready` does not."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "joblot.demo"
    label = "joblot_demo"
    verbose_name = "joblot's demo"
    default_auto_field = "django.db.models.BigAutoField"
