"""What the verbs do, for monitoring: durations and counts for observers, spans for OpenTelemetry.

An observer is registered by the program that exposes metrics, such as the server. Spans are made
where the program has configured OpenTelemetry; otherwise a verb pays for a look-up.
Imports neither Django nor any monitoring library.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

TRACER = "joblot"
_API = "opentelemetry.trace"
_PARENT = "traceparent"  # the W3C Trace Context header


class Observer(Protocol):
    """Gets what happens in this process; it must neither raise nor block."""

    def timed(self, verb: str, seconds: float, *, failed: bool) -> None: ...

    def counted(self, name: str, amount: int, **labels: str) -> None: ...


# Modules register when they are imported, which may be while verbs run.
_observers: tuple[Observer, ...] = ()  # Threads: replaced by one assignment


def observe(observer: Observer) -> None:
    """Pass what happens from now on to `observer`, too."""
    global _observers  # noqa: PLW0603 (of the process)
    _observers = (*_observers, observer)


def count(name: str, amount: int, **labels: str) -> None:
    """Count something that is committed."""
    for one in _observers:
        one.counted(name, amount, **labels)


def verb(name: str, *, spans: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Observe how long the decorated verb takes and, unless it makes its own, give it a span."""

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with timed(name):
                if not spans or not is_traced():
                    return function(*args, **kwargs)
                with span(name):
                    return function(*args, **kwargs)

        return wrapper

    return decorated


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Observe how long the block takes, and whether it raises."""
    began, failed = time.perf_counter(), True
    try:
        yield
        failed = False
    finally:
        for one in _observers:
            one.timed(name, time.perf_counter() - began, failed=failed)


def is_traced() -> bool:
    """True if the program has configured OpenTelemetry. Some libraries only import its API."""
    api = sys.modules.get(_API)
    return api is not None and not isinstance(api.get_tracer_provider(), api.ProxyTracerProvider)


@contextmanager
def span(name: str, parent: str | None = None, **attributes: Any) -> Iterator[None]:
    """A span around the block, below `parent`, a `traceparent`, or else the current span."""
    if not is_traced():
        yield
        return
    tracer = sys.modules[_API].get_tracer(TRACER)
    about = {"context": _context(parent), "links": _links(parent)}
    with tracer.start_as_current_span(f"{TRACER}.{name}", attributes=_named(attributes), **about):
        yield


def ended_span(name: str, began_ns: int, parent: str | None, **attributes: Any) -> None:
    """A span from `began_ns`, in Unix nanoseconds, until now.

    For a verb that learns only at its end whose work it has done.
    """
    if not is_traced():
        return
    tracer = sys.modules[_API].get_tracer(TRACER)
    about = {"context": _context(parent), "links": _links(parent), "start_time": began_ns}
    tracer.start_span(f"{TRACER}.{name}", attributes=_named(attributes), **about).end()


def traceparent() -> str | None:
    """The current span as a W3C `traceparent`; None if there is none."""
    carrier: dict[str, str] = {}
    if is_traced():
        _propagator().inject(carrier)
    return carrier.get(_PARENT)


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 (an extra)
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator()


def _context(parent: str | None) -> Any:
    """The context with `parent` as its span; None, which is the current one, without a parent."""
    return _propagator().extract({_PARENT: parent}) if parent else None


def _links(parent: str | None) -> list[Any]:
    """The current span, if the new one is below another: it belongs to both traces."""
    trace = sys.modules[_API]
    here = trace.get_current_span().get_span_context()
    return [trace.Link(here)] if parent and here.is_valid else []


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"{TRACER}.{name}": value for name, value in attributes.items()}
