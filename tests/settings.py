"""Two databases; `default` is neither, so that code that bypasses the router fails at once.

Child processes of a test find its databases in the environment.
"""

import os

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "joblot",
    "joblot.contrib.antenna",
    "joblot.web",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # as fast as tests need it
ROOT_URLCONF = "joblot.server.urls"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]

DATABASES = {
    "default": {},
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("JOBLOT_TEST_SQLITE_NAME", ":memory:"),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,  # seconds
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    },
    "postgres": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("JOBLOT_TEST_POSTGRES_NAME", ""),
        "USER": os.environ.get("JOBLOT_TEST_POSTGRES_USER", ""),
        "HOST": os.environ.get("JOBLOT_TEST_POSTGRES_HOST", ""),
        "PORT": os.environ.get("JOBLOT_TEST_POSTGRES_PORT", ""),
        "OPTIONS": {
            "server_side_binding": True,
            "prepare_threshold": 1,
            "options": "-c plan_cache_mode=force_generic_plan",
        },
    },
}
DATABASE_ROUTERS = ["tests.databases.CurrentDatabase"]
