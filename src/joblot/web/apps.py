"""The Django app."""

from django.apps import AppConfig


class JoblotWebConfig(AppConfig):
    name = "joblot.web"
    label = "joblot_web"
    verbose_name = "joblot's pages"
    default_auto_field = "django.db.models.BigAutoField"
