"""Types that the shapes share."""

from __future__ import annotations

from typing import Annotated

from ninja import Schema
from pydantic import Field

BIGINT_MAX = 2**63 - 1
JobId = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
Cursor = Annotated[int, Field(ge=-1, le=BIGINT_MAX)]
Whole = Annotated[int, Field(strict=True)]  # in a request: neither text nor true
CauseId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Why = Annotated[str, Field(max_length=10_000)]  # the ledger has the limit


class Problem(Schema):
    """RFC 9457. `code` is stable; `detail` says what was expected, what came, what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
