"""The platform's settings. SQLite keeps the example small; use PostgreSQL for many workers."""

import os

SECRET_KEY = "example"
ROOT_URLCONF = "board.urls"
ALLOWED_HOSTS = ["*"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
INSTALLED_APPS = ["joblot", "joblot.contrib.antenna", "board"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "platform.sqlite3",
        "OPTIONS": {  # required by a system check; WAL, so that the page reads while workers write
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }
}
if name := os.environ.get("PGDATABASE"):  # PGHOST, PGUSER and the others are libpq's
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "CONN_MAX_AGE": 600,
        "OPTIONS": {
            "server_side_binding": True,
            "prepare_threshold": 1,
            "options": "-c plan_cache_mode=force_generic_plan -c jit=off",
        },
    }
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_TASK_IGNORE_RESULT = True
