"""The last bytes that pass through Python's streams, call by call, where there is no supervisor.

There is no pipe to read then, and the output may be a terminal. So each stream stays the same
object; only its `write` and `flush` are replaced, on the object itself. `isatty` and the buffer are
unchanged, and what is written by whatever holds the stream, such as a handler of `logging`, is
copied, too. What C code and programs write to the process's output, past these streams, is not.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any, Self

from joblot.worker.output_tail import KEPT_BYTES_MAX

STREAMS_MAX = 16  # that are copied; a function may replace its streams in every call

Write = Callable[..., Any]


class _Call(threading.local):
    """The call that a thread makes: workers of several threads may share a StreamTail."""

    kept: bytearray | None = None
    outer: bytearray | None = None  # of the call that this one is made in


class StreamTail:
    """Keeps, within `with`, what a thread's calls write to `sys.stdout` and `sys.stderr`.

    What a thread writes belongs to the innermost call that it makes. What any other thread writes
    belongs to the only call of the process, if there is one; during several it is not kept.
    """

    def __init__(self) -> None:
        self._call = _Call()

    def __enter__(self) -> Self:
        _streams.open()
        return self

    def __exit__(self, *_: object) -> None:
        _streams.close()

    def begin(self) -> None:
        """Begin an item: what is written from now on belongs to it."""
        _streams.follow(sys.stdout, sys.stderr)
        if self._call.kept is None:
            self._call.outer = _calls.get(get_ident())
        self._call.kept = bytearray()
        _thread.write_to(self._call.kept)

    def item_output(self) -> bytes:
        """The last `KEPT_BYTES_MAX` bytes written since `begin`."""
        kept = self._call.kept
        return b"" if kept is None else bytes(kept[-KEPT_BYTES_MAX:])

    def end(self) -> None:
        """End a call. What the thread writes from now on belongs to the enclosing call, if any."""
        # The garbage collector may end it in another thread, which has no call.
        if self._call.kept is None:
            return
        if self._call.outer is None:
            _calls.pop(get_ident(), None)
        else:
            _calls[get_ident()] = self._call.outer
        self._call.kept = self._call.outer = None


# Threads: each call has its own thread, which is the key. A bytearray is only appended to, and cut
# at its beginning, in steps that are atomic, so that no lock is held when a signal arrives.
_calls: dict[int, bytearray] = {}


class _Forgetting:
    """Forgets the call of the thread that made it, when it is dropped."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def __del__(self, calls: dict[int, bytearray] = _calls) -> None:
        calls.pop(self._thread, None)


class _Thread(threading.local):
    """Dropped when the thread ends, also if it ends inside a call."""

    def __init__(self) -> None:
        self._forgetting = _Forgetting()

    def write_to(self, call: bytearray) -> None:
        _calls[get_ident()] = call


# Threads: each has its own.
_thread = _Thread()


class _Inside(threading.local):
    """True while a copied stream writes: what it passes on, to another one, is copied already."""

    writes = False


# Threads: each has its own.
_inside = _Inside()


def _keep(data: Any) -> None:
    """Add the end of what is written to its call."""
    call = _calls.get(get_ident())
    if call is None:
        (call,) = _calls.values()
    piece = data if len(data) <= KEPT_BYTES_MAX else data[-KEPT_BYTES_MAX:]
    call += piece.encode(errors="backslashreplace") if isinstance(piece, str) else bytes(piece)
    if len(call) > 2 * KEPT_BYTES_MAX:
        del call[:-KEPT_BYTES_MAX]


def _copying(original: Write) -> Write:
    def write(*given: Any, **named: Any) -> Any:
        if _inside.writes or not _calls:
            return original(*given, **named)
        _inside.writes = True
        try:
            try:  # noqa: SIM105 (`suppress` takes as long as the rest)
                _keep(given[0] if given else next(iter(named.values())))
            except Exception:  # noqa: BLE001, S110 (no text or bytes, or several calls run)
                pass
            return original(*given, **named)
        finally:
            _inside.writes = False

    return write


def _flushing(original: Write) -> Write:
    """Passes on what the stream has buffered, which was copied when it was written."""

    def flush(*given: Any, **named: Any) -> Any:
        before, _inside.writes = _inside.writes, True
        try:
            return original(*given, **named)
        finally:
            _inside.writes = before

    return flush


REPLACED = {"write": _copying, "flush": _flushing}


@dataclass(frozen=True, slots=True)
class _Replaced:
    """A method that is replaced on its object. `own`: it was an attribute of the object before."""

    object: Any
    name: str
    original: Write
    copied: Write
    own: bool

    @classmethod
    def of(cls, one: Any, name: str) -> Self | None:
        """None if the object has no such method, or does not allow replacing it."""
        with suppress(Exception):
            original = getattr(one, name)
            copied = REPLACED[name](original)
            own = name in getattr(one, "__dict__", {})
            setattr(one, name, copied)
            return cls(one, name, original, copied, own)
        return None

    def restore(self) -> None:
        """Do nothing if other code has replaced it since: that may still call this one."""
        with suppress(Exception):
            if getattr(self.object, self.name) is not self.copied:
                return
            if self.own:
                setattr(self.object, self.name, self.original)
            else:
                delattr(self.object, self.name)


@dataclass(slots=True)
class _Streams:
    """The streams that are copied, as long as one StreamTail of the process is open."""

    _open: int = 0
    _seen: dict[int, Any] = field(default_factory=dict)  # by id; kept, so that an id stays its own
    _replaced: list[_Replaced] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Also for the original streams, which handlers of `logging` may hold."""
        with self._lock:
            self._open += 1
        self.follow(sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)

    def follow(self, *streams: Any) -> None:
        for stream in streams:
            if id(stream) not in self._seen and stream is not None:
                self._add(stream)

    def close(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open:
                return
            for one in reversed(self._replaced):
                one.restore()
            self._seen.clear()
            self._replaced.clear()

    def _add(self, stream: Any) -> None:
        with self._lock:
            if id(stream) in self._seen or len(self._seen) >= STREAMS_MAX or not self._open:
                return
            self._seen[id(stream)] = stream
            found = [_Replaced.of(stream, name) for name in REPLACED]
            with suppress(Exception):  # it has no buffer, or is closed
                found.append(_Replaced.of(stream.buffer, "write"))
            self._replaced += filter(None, found)


# Threads: it has a lock; only `close`, by the last that has opened it, removes anything.
_streams = _Streams()
