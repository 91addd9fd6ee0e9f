"""What was requested with an idempotency key, stored so that a different request is a conflict.

Requests are compared as given: an omitted argument is not replaced by its default, which may have
changed by the time the request is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from joblot.canonical import canonical, result_hash
from joblot.errors import KeyConflict
from joblot.models import Job, Lease
from joblot.shown import shown


def fingerprints(given: Mapping[str, Any]) -> dict[str, str]:
    """A hash of each argument that was given, by name."""
    return {name: _hash(value).hex()[:32] for name, value in given.items() if value is not None}


def require_same_submission(job: Job, asked: Mapping[str, str]) -> None:
    """Raises KeyConflict, naming the arguments that differ from the job's submission."""
    kept = job.asked or {}
    names = [name for name in sorted({*kept, *asked}) if kept.get(name) != asked.get(name)]
    if names:
        raise KeyConflict(
            f"idempotency key {shown(job.idempotency_key)}: job {job.pk} was submitted with it and "
            f"another {', '.join(names)}; repeat that submission unchanged, or use a new key"
        )


def claim_hash(pipelines: Iterable[str], limit: int, job: int | None, owner: int | None) -> bytes:
    """The hash that identifies a claim's arguments. `pipelines` are sorted."""
    return _hash([*pipelines, limit, job, owner])


def require_same_claim(lease: Lease, asked: bytes | None) -> None:
    """Raises KeyConflict if the lease was claimed with other arguments."""
    if lease.asked is None or bytes(lease.asked) != asked:
        raise KeyConflict(
            f"idempotency key {shown(lease.idempotency_key)}: it was used for another claim, with "
            "other pipelines or another limit, job or owner; use a new key for each claim"
        )


def _hash(value: Any) -> bytes:
    return result_hash(canonical(value))
