"""Django's settings for joblot without a Django project: the command line, the demo, a server.

The database is, in this order: the one that the caller names; that of the project that
DJANGO_SETTINGS_MODULE names; JOBLOT_DATABASE_URL; an SQLite file in the user's data folder.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import django
from django.apps import apps as installed
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from joblot import private
from joblot.database_url import SQLITE, STATEMENT_SECONDS_MAX, database_of, sqlite
from joblot.errors import InvalidInput, Unavailable
from joblot.places import DATABASE_URL, data_folder
from joblot.search_path import add_working_folder

__all__ = [
    "database_of",
    "default_path",
    "setup",
]

BUSY_TRIES_MAX = 3  # how often SQLite waits for a lock; the total is well below a lease
SERVED_STATEMENT_SECONDS_MAX = 40  # in a server, where threads are few and requests wait for them

# Apps that `joblot serve` installs in addition; its URLs include them too. Commands that need none
# of them start faster without, and make no tables for them.
SERVED_APPS = (
    "joblot.contrib.antenna",
    "joblot.web",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
)
SESSIONS_KEY = "JOBLOT_SECRET_KEY"  # in the environment: for servers on several machines


def setup(
    url: str | None = None,
    *,
    path: Path | str | None = None,
    apps: Sequence[str] = (),
    served: bool = False,
) -> None:
    """Set up Django once; later calls, and calls inside a Django project, change nothing.

    `url` is postgresql://… or sqlite:///file; `path` is an SQLite file. `apps` are installed in
    addition to joblot; `served` is for a process that answers requests. Raises InvalidInput for any
    other URL, Unavailable if the file's folder can't be made or PostgreSQL's driver is missing.
    """
    if settings.configured:
        if not installed.ready:
            django.setup()
        return
    if os.environ.get("DJANGO_SETTINGS_MODULE") and url is None and path is None and not apps:
        _setup_project()
        return
    longest = SERVED_STATEMENT_SECONDS_MAX if served else STATEMENT_SECONDS_MAX
    database = _chosen(url, path, longest)
    settings.configure(
        JOBLOT_EMBEDDED=database["ENGINE"] == SQLITE,
        DATABASES={"default": database},
        INSTALLED_APPS=["joblot", *(SERVED_APPS if served else ()), *apps],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        MEDIA_ROOT=str(outputs_folder(database)),
        FILE_UPLOAD_PERMISSIONS=private.FILE,
        FILE_UPLOAD_DIRECTORY_PERMISSIONS=private.FOLDER,
        SECRET_KEY=secret_key(database) if served else secrets.token_urlsafe(),
        USE_TZ=True,
        TIME_ZONE="UTC",
        JOBLOT=_limits(database),
        **(_serving(database) if served else {}),
    )
    django.setup()


def _serving(database: Mapping[str, Any]) -> dict[str, Any]:
    """Allows any Host header: a page of a foreign host has no token and no cookie of ours.

    There is no middleware, so that the API is fast: the pages bring their own. Browsers send a
    cookie to all ports of a host, so its name says which database it is for.
    """
    return {
        "ROOT_URLCONF": "joblot.server.urls",
        "MIDDLEWARE": [],
        "ALLOWED_HOSTS": ["*"],
        "SESSION_COOKIE_NAME": f"joblot_session_{_id_of(database)[:8]}",
        "CSRF_COOKIE_NAME": f"joblot_csrf_{_id_of(database)[:8]}",
    }


def secret_key(database: Mapping[str, Any]) -> str:
    """What sessions are signed with: the same for all processes, and after a restart.

    It is kept in the data folder, in a private file per database. Where that is not possible, it is
    made for this process and those that it starts, and a restart signs everybody out.
    """
    if given := os.environ.get(SESSIONS_KEY):
        return given
    try:
        return _kept_key(data_folder() / "keys" / _id_of(database))
    except (OSError, Unavailable):
        os.environ[SESSIONS_KEY] = secrets.token_urlsafe(48)
        return os.environ[SESSIONS_KEY]


def _kept_key(path: Path) -> str:
    private.make_folder(path.parent)
    with private.file_lock(path.with_suffix(".lock")):
        if not path.exists():
            private.write_file(path, secrets.token_urlsafe(48).encode())
    return private.read_file(path).decode()


def _id_of(database: Mapping[str, Any]) -> str:
    """A name for the database that files and cookies can have."""
    place = [str(database.get(name, "")) for name in ("ENGINE", "HOST", "PORT", "NAME")]
    return hashlib.sha256("\0".join(place).encode()).hexdigest()[:32]


def default_path() -> Path:
    """The SQLite file that is used when no database is named."""
    return data_folder() / "joblot.sqlite3"


def is_standalone() -> bool:
    """True if the settings are joblot's own, not a project's."""
    return hasattr(settings, "JOBLOT_EMBEDDED")


def is_embedded() -> bool:
    """True if the database is joblot's own SQLite file, not a project's or a server's."""
    return bool(getattr(settings, "JOBLOT_EMBEDDED", False))


def _setup_project() -> None:
    add_working_folder()
    try:
        django.setup()
    except (ImportError, ImproperlyConfigured) as error:
        module = os.environ["DJANGO_SETTINGS_MODULE"]
        raise InvalidInput(
            f"DJANGO_SETTINGS_MODULE={module} can't be used: {error}; correct it, or unset it to "
            "use joblot's own database"
        ) from error


def _chosen(url: str | None, path: Path | str | None, statement_seconds_max: int) -> dict[str, Any]:
    if path is not None:
        return sqlite(Path(path))
    named = url or os.environ.get(DATABASE_URL)
    return database_of(named, statement_seconds_max) if named else sqlite(default_path())


def _limits(database: Mapping[str, Any]) -> dict[str, Any]:
    """The value of settings.JOBLOT."""
    given: dict[str, Any] = {
        "WEBHOOK_PRIVATE_ALLOWED": os.environ.get("JOBLOT_WEBHOOK_PRIVATE_ALLOWED") == "1"
    }
    if database["ENGINE"] == SQLITE:
        # SQLite itself waits for a lock, so a few tries take many seconds.
        given["CONFLICT_RETRIES_MAX"] = BUSY_TRIES_MAX
    return given


def outputs_folder(database: Mapping[str, Any]) -> Path:
    """The folder for outputs too large for a row: beside an SQLite file, or in the data folder."""
    if database["ENGINE"] == SQLITE:
        return Path(f"{database['NAME']}-outputs")
    return data_folder() / "outputs"
