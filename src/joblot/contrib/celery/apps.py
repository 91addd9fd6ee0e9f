"""The Django app. It has no tables; it lets every sweep submit the callbacks that are due."""

from django.apps import AppConfig


class CeleryConfig(AppConfig):
    name = "joblot.contrib.celery"
    label = "joblot_celery"  # a project may have its own app "celery"
    verbose_name = "joblot: Celery"

    def ready(self) -> None:
        from joblot.contrib.celery.callbacks import submit_callback  # noqa: PLC0415 (needs models)
        from joblot.ledger.report.hooks import on_fan_out  # noqa: PLC0415

        on_fan_out("finished")(submit_callback)
