"""Which errors of a function are worth another attempt: those of a connection, by their class.

Libraries have their own classes for a lost connection or an answer that did not come. They are
known by the names of the class and of its bases, so that no library needs to be imported.
"""

from __future__ import annotations

from dataclasses import dataclass

from joblot.errors import PermanentError, RetryableError
from joblot.worker.causes import Interrupted, leaves_of

NAMES = frozenset(
    {
        "ConnectionError",  # Python, requests, botocore, redis
        "TimeoutError",  # Python, urllib3, asyncio, redis
        "Timeout",  # requests
        "ChunkedEncodingError",  # requests: the answer broke off
        "gaierror",  # socket: a name can't be resolved now
        "IncompleteRead",  # http.client, urllib3
        "NetworkError",  # httpx
        "TimeoutException",  # httpx
        "RemoteProtocolError",  # httpx, httpcore: the answer broke off
        "ProtocolError",  # urllib3
        "NewConnectionError",  # urllib3
        "ClientConnectionError",  # aiohttp
        "ClientPayloadError",  # aiohttp: the answer broke off
    }
)
WITH_A_REASON = frozenset({"URLError", "MaxRetryError"})  # urllib and urllib3: it decides


@dataclass(frozen=True, slots=True)
class Retrying:
    """Names of classes, also with their module, that are retried or not in addition. A class is
    meant with all that derive from it. `never` wins over `on`, and both over what is known.
    """

    on: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    def allows(self, error: BaseException) -> bool:
        """True if another attempt may help; for a group, if it may help with each of its leaves."""
        return all(self._allows(leaf) for leaf in leaves_of(error))

    def _allows(self, error: BaseException) -> bool:
        names = names_of(error)
        if names & self.never:
            return False
        if names & self.on or issubclass(type(error), RetryableError):
            return True
        if issubclass(type(error), PermanentError):
            return False
        if names & WITH_A_REASON:
            reason = getattr(error, "reason", None)
            return isinstance(reason, BaseException) and self.allows(reason)
        return bool(names & NAMES)


def names_of(error: BaseException) -> frozenset[str]:
    """The names of its class and of all bases, alone and with their module."""
    try:
        kinds = type(error).__mro__
        return frozenset(
            name
            for kind in kinds
            for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")
        )
    except Interrupted:
        raise
    except BaseException:  # noqa: BLE001 (a metaclass may do anything)
        return frozenset()
