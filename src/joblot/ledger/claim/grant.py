"""The parameters of a claim, and the result of taking a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from joblot.ledger.claim.candidates import Candidate
from joblot.ledger.claim.queue import StageKey
from joblot.ledger.db.statements import json_value, moment
from joblot.ledger.rows.items import ItemRow
from joblot.ledger.rows.ranges import Span
from joblot.states import JobStatus


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a lease is for. `items_max` caps the items its owner has in flight; None means no cap.

    `asked` is the hash that identifies the claim made with `idempotency_key`.
    """

    worker: str = ""
    owner: int | None = None
    items_max: int | None = None
    idempotency_key: str | None = None
    asked: bytes | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease that was just granted, with its job and stage as of the grant.

    `inputs` are the outputs of the previous stage, if they were read with it.
    """

    token: UUID
    job_id: int
    run: int
    stage: int
    spans: list[Span]
    expires_at: datetime
    job_status: JobStatus
    job_version: int
    config: Any
    trace: str | None
    lease_seconds: float
    stage_name: str
    pipeline: str
    items: list[ItemRow]
    inputs: Mapping[int, Any] | None = None

    @classmethod
    def of(
        cls,
        token: UUID,
        stage: StageKey,
        row: Sequence[Any],
        *,
        spans: list[Span],
        items: list[ItemRow],
        inputs: Mapping[int, Any] | None = None,
    ) -> Self:
        """From the columns that every way to grant returns: run, deadline, status and version of
        the job, config, trace, seconds of the lease, name and pipeline of the stage.
        """
        run, expires_at, status, version, config, trace, seconds, name, pipeline = row
        return cls(
            token=token,
            job_id=stage[0],
            run=run,
            stage=stage[1],
            spans=spans,
            expires_at=moment(expires_at),
            job_status=JobStatus(status),
            job_version=version,
            config=json_value(config),
            trace=trace,
            lease_seconds=seconds,
            stage_name=name,
            pipeline=pipeline,
            items=items,
            inputs=inputs,
        )


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of taking a range: a lease, a refusal, or neither if all was settled already."""

    candidate: Candidate
    grant: Grant | None = None
    refused: bool = False
    pipeline_refused: bool = False  # its pipeline grants nothing now, to none of its jobs
