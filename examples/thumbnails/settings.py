SECRET_KEY = "example"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["joblot", "gallery"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "example.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},  # required by a system check
    }
}
