"""Tokens: shown once, stored as a hash, revoked at once.

A token has the form joblot_<id>_<secret>. The id finds the row; the SHA-256 of the secret, 256
random bits, is compared in constant time, so that neither the database nor timing reveals it.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterable
from typing import Any

from django.db import DatabaseError, connections, router

from joblot import clock
from joblot.config import limits
from joblot.errors import InvalidInput, NotAuthenticated, NotFound
from joblot.identity.caller import Caller, Scope
from joblot.ledger.db.statements import fetch, json_value
from joblot.ledger.db.transactions import repeated
from joblot.ledger.rows.names import checked_name
from joblot.models import Token
from joblot.shown import shown

logger = logging.getLogger("joblot.identity")

_SHAPE = re.compile(r"joblot_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"nobody").digest()

_lock = threading.Lock()
# Threads: read and changed under the lock only.
_used_at: dict[tuple[str, int], float] = {}  # by database and token


@repeated
def issue(
    name: str,
    scopes: Iterable[str],
    *,
    projects: Iterable[str] | None = None,
    pipelines: Iterable[str] | None = None,
    expires_in_seconds: float | None = None,
    in_flight_items_max: int | None = None,
    requests_per_minute_max: int | None = None,
    body_bytes_max: int | None = None,
) -> tuple[str, dict[str, Any]]:
    """Create a token: returns its text, which is not stored, and its entry in `tokens`.

    `scopes`: some of submit, work, read, admin. Raises InvalidInput.
    """
    public_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    if expires_in_seconds is not None and not 0 < expires_in_seconds <= 10 * 366 * 86_400:
        raise InvalidInput(f"expires: expected up to ten years, got {expires_in_seconds:g} s")
    row = _tokens().create(
        public_id=public_id,
        secret_hash=_hash(secret),
        name=checked_name(name, "name"),
        scopes=sorted(_scopes(scopes)),
        projects=_names(projects, "project"),
        pipelines=_names(pipelines, "pipeline"),
        in_flight_items_max=_positive(in_flight_items_max, "in_flight_items_max"),
        requests_per_minute_max=_positive(requests_per_minute_max, "requests_per_minute_max"),
        body_bytes_max=_positive(body_bytes_max, "body_bytes_max"),
        created_at=clock.now(),
        expires_at=None if expires_in_seconds is None else clock.after(expires_in_seconds),
    )
    row.refresh_from_db()
    return f"joblot_{public_id}_{secret}", _described(row)


def authenticate(text: str) -> Caller:
    """The token's caller. Raises NotAuthenticated, which never says what is wrong with it."""
    caller = _authenticate(text)
    _note_use(caller.owner)
    return caller


@repeated
def _authenticate(text: str) -> Caller:
    shape = _SHAPE.fullmatch(text)
    row = _in_force(shape[1]) if shape else None
    expected = bytes(row[1]) if row else _NOBODY
    matches = secrets.compare_digest(_hash(shape[2] if shape else ""), expected)
    if row is None or not matches:
        raise NotAuthenticated(
            "expected a token that is known, not revoked and not expired, as "
            "`Authorization: Bearer joblot_…`; `joblot token create` makes one"
        )
    owner, _, name, scopes, projects, pipelines, items_max, requests_max, bytes_max = row
    return Caller(
        owner=owner,
        name=name,
        scopes=frozenset(map(Scope, json_value(scopes))),
        projects=_set_of(projects),
        pipelines=_set_of(pipelines),
        in_flight_items_max=items_max,
        requests_per_minute_max=requests_max,
        body_bytes_max=bytes_max,
        actor=f"token:{name}",
    )


@repeated
def revoke(public_id: str) -> dict[str, Any]:
    """Revoke a token now; its next request is refused. Raises NotFound."""
    if (
        not _tokens()
        .filter(public_id=public_id, revoked_at__isnull=True)
        .update(revoked_at=clock.now())
        and not _tokens().filter(public_id=public_id).exists()
    ):
        raise NotFound(f"token {shown(public_id, 40)} does not exist; see `joblot token list`")
    return _described(_tokens().get(public_id=public_id))


@repeated
def tokens() -> list[dict[str, Any]]:
    """All tokens, oldest first, without their secrets."""
    return [_described(row) for row in _tokens().order_by("pk")]


@repeated
def any_token() -> bool:
    """True if any token was ever created, even if it has ended."""
    return bool(_tokens().exists())


def _note_use(token: int) -> None:
    """Record that a token was used, at most every `token_used_seconds` in each process.

    It is a hint for people: failing to write it is harmless.
    """
    key, now = (router.db_for_write(Token), token), time.monotonic()
    with _lock:
        if now - _used_at.get(key, float("-inf")) < limits().token_used_seconds:
            return
        _used_at[key] = now
    try:
        _tokens().filter(pk=token).update(last_used_at=clock.now())
    except DatabaseError as error:
        logger.warning("the use of token %d could not be recorded: %s", token, error)


def _tokens() -> Any:
    return Token.objects.using(router.db_for_write(Token))


def _in_force(public_id: str) -> tuple[Any, ...] | None:
    """Read for each request, so not by the ORM: that would cost more than all else in a request."""
    conn = connections[router.db_for_write(Token)]
    return next(iter(fetch(conn, "../identity/token_in_force", public_id=public_id)), None)


def _set_of(stored: Any) -> frozenset[str] | None:
    names = json_value(stored)
    return None if names is None else frozenset(names)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _scopes(given: Iterable[str]) -> set[Scope]:
    try:
        scopes = {Scope(one) for one in given}
    except ValueError as error:
        raise InvalidInput(f"scope: expected some of {', '.join(Scope)}; {error}") from None
    if not scopes:
        raise InvalidInput(f"scope: expected at least one of {', '.join(Scope)}")
    return scopes


def _names(given: Iterable[str] | None, what: str) -> list[str] | None:
    names = None if given is None else sorted({checked_name(one, what) for one in given})
    if names is not None and not 0 < len(names) <= limits().names_per_token_max:
        raise InvalidInput(
            f"{what}s: expected 1 to {limits().names_per_token_max} names, or none at all for "
            f"every {what}; got {len(names)}"
        )
    return names


def _positive(given: int | None, what: str) -> int | None:
    if given is not None and not 0 < given < 2**31:
        raise InvalidInput(f"{what}: expected a positive number below 2^31, got {given}")
    return given


def _described(row: Token) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "name": row.name,
        "scopes": row.scopes,
        "projects": row.projects,
        "pipelines": row.pipelines,
        "in_flight_items_max": row.in_flight_items_max,
        "requests_per_minute_max": row.requests_per_minute_max,
        "body_bytes_max": row.body_bytes_max,
        "created_at": row.created_at.isoformat(),
        "last_used_at": row.last_used_at and row.last_used_at.isoformat(),
        "expires_at": row.expires_at and row.expires_at.isoformat(),
        "revoked_at": row.revoked_at and row.revoked_at.isoformat(),
    }
