"""What the templates show of a map: its legend, its table of blocks, and where its bytes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.urls import reverse

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.read.filters import ItemFilters
from joblot.ledger.read.picture import MEANINGS, Legend, Picture
from joblot.ledger.read.picture_cells import Code
from joblot.ledger.read.pictures import Shown
from joblot.ledger.rows.job import stages_of
from joblot.models import Job
from joblot.shown import shown as text_shown
from joblot.states import JobStatus
from joblot.words import STATES
from joblot.words import Shown as Words

BLOCKS_MAX = 100
# As in a bar: what was settled, then what is open.
ORDER = (
    *(Code.SUCCEEDED, Code.FAILED, Code.LOST, Code.SKIPPED),
    *(Code.IN_FLIGHT, Code.WAITING, Code.READY, Code.ABSENT),
)
OWN_WORDS = {
    "cancelled_before_start": Words("canceled before start", "–", "cancelled"),
    "cancelled_in_flight": Words("canceled in flight", "▸", "in_flight"),
    "finished_after_cancel": Words("finished after cancel", "◷", "waiting"),
    "not_reached": Words("not here yet", "", "absent"),
}


class Entry(NamedTuple):
    """A line of the legend."""

    code: int
    name: str
    word: str
    glyph: str
    color: str
    items: int | None


@dataclass(frozen=True, slots=True)
class Panel:
    """A map as the templates show it; `blocks` is empty where the picture was not read."""

    job_id: int
    shown: Shown
    total: int
    legend: int
    entries: tuple[Entry, ...]
    stages: tuple[str, ...]
    blocks: tuple[dict[str, Any], ...]
    bytes_url: str
    seconds: float

    @property
    def items_url(self) -> str:
        return f"{reverse('joblot_web:job', args=[self.job_id])}/items"

    @property
    def page_url(self) -> str:
        return reverse("joblot_web:map", args=[self.job_id])

    @property
    def item_info_url(self) -> str:
        return f"{self.page_url}/items/"

    @property
    def used(self) -> list[Entry]:
        """The states of which there are items, for the table's columns."""
        return [one for one in self.entries if one.items]

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The ranges of a job that is too large for one picture; none of any other."""
        most = limits().picture_items_max
        firsts = range(0, self.total, most) if self.total > most else ()
        return [(first, min(first + most, self.total) - 1) for first in firsts]


def asked(job: Job, query: Mapping[str, str]) -> Shown:
    """Which items `?stage=` and `?range=` name; without a range, all, or as many as can be shown:
    the first, or those around `?item=`.

    Raises InvalidInput.
    """
    named = {name: query[name] for name in ("stage", "range") if name in query}
    filters = ItemFilters.of(named)
    first, last = filters.range.first or 0, filters.range.last
    most = limits().picture_items_max
    if not named.get("range") and job.total > most:
        first = (centered(job, query) or 0) // most * most
        last = first + most - 1
    return Shown(job.pk, filters.stage, first, last)


def centered(job: Job, query: Mapping[str, str]) -> int | None:
    """The item that `?item=` puts in the middle. Raises InvalidInput."""
    given = query.get("item", "")
    if not given:
        return None
    if given.isascii() and given.isdigit() and len(given) < 11 and int(given) < job.total:
        return int(given)
    raise InvalidInput(f"item: expected 0 to {job.total - 1}, got {text_shown(given, 40)}")


def panel(job: Job, shown: Shown, picture: Picture | None = None) -> Panel:
    """The map of a job; without a picture, which costs nothing, without counts and table."""
    if picture is not None:
        legend = picture.legend
    elif job.status == JobStatus.REVOKED:
        legend = Legend.CANCELED
    else:
        legend = Legend.JOB if shown.stage is None else Legend.STAGE
    return Panel(
        job_id=job.pk,
        shown=shown,
        total=job.total if picture is None else picture.total,
        legend=legend.value,
        entries=tuple(_entries(legend, picture)),
        stages=tuple(stage.name for stage in stages_of(job.pk)),
        blocks=() if picture is None else tuple(_blocks(picture)),
        bytes_url=_bytes_url(shown, picture),
        seconds=limits().picture_seconds_min,
    )


def words_of(meaning: str) -> Words:
    """The word, sign and color of what a code means."""
    return OWN_WORDS.get(meaning) or STATES[meaning]


def version_of(picture: Picture) -> str:
    return f"{picture.run}.{picture.revision}"


def _entries(legend: Legend, picture: Picture | None) -> Iterator[Entry]:
    for code in ORDER:
        if name := MEANINGS[legend][code]:
            words = words_of(name)
            count = None if picture is None else picture.counts[code]
            yield Entry(code, name, *words, count)


def _blocks(picture: Picture) -> Iterator[dict[str, Any]]:
    """At most BLOCKS_MAX blocks of consecutive items, each with its counts by state."""
    total = len(picture.cells)
    used = [code for code in ORDER if picture.counts[code]]
    size = max(1, -(-total // BLOCKS_MAX))
    for begin in range(0, total, size):
        cells = picture.cells[begin : begin + size]
        first, last = picture.first + begin, picture.first + begin + len(cells) - 1
        counts = [(picture.meanings[code], cells.count(code)) for code in used]
        yield {"first": first, "last": last, "range": f"{first}-{last}", "counts": counts}


def _bytes_url(shown: Shown, picture: Picture | None) -> str:
    query: dict[str, str] = {}
    if shown.stage is not None:
        query["stage"] = shown.stage
    if shown.first or shown.last is not None:
        query["range"] = f"{shown.first}-{'' if shown.last is None else shown.last}"
    if picture is not None and picture.is_final:
        query["v"] = version_of(picture)
    url = reverse("joblot_web:map_bytes", args=[shown.job_id])
    return f"{url}?{urlencode(query)}" if query else url
