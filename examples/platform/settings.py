"""The platform's settings. SQLite keeps the example small; use PostgreSQL for many workers."""

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
