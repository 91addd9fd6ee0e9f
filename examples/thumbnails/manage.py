"""joblot in a Django project: `python manage.py migrate && python manage.py thumbnails`."""

from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    SECRET_KEY="example",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["joblot", "gallery"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "example.sqlite3",
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},  # required by a system check
        }
    },
)
execute_from_command_line()
