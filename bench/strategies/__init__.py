"""Ways to count the items of a job that many handlers report at once. The arena compares them."""

from bench.strategies.bare import BareInsert
from bench.strategies.counter import Counter, RowsCounter, StatementCounter
from bench.strategies.fold import FoldLater
from bench.strategies.item_rows import AdvisoryLock, OpenRows, Recount
from bench.strategies.json_blob import ConditionalStatus, JsonBlob, LockedJson
from bench.strategies.ledger import Ledger, ThreadedLedger
from bench.strategies.redis_sets import ComputedOnRead, Lua, Rendered
from bench.strategies.shape import Strategy

LIMIT = BareInsert
STRATEGIES: tuple[type[Strategy], ...] = (
    JsonBlob,
    LockedJson,
    Counter,
    StatementCounter,
    RowsCounter,
    ConditionalStatus,
    Rendered,
    ComputedOnRead,
    AdvisoryLock,
    OpenRows,
    Recount,
    FoldLater,
    Lua,
    Ledger,
    ThreadedLedger,
)
BY_KEY: dict[str, type[Strategy]] = {LIMIT.key: LIMIT} | {one.key: one for one in STRATEGIES}
