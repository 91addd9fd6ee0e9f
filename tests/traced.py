"""A program that configures OpenTelemetry and uses joblot; prints its spans as JSON lines.

A process of its own, since joblot traces as soon as the API is imported, and others should not.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from joblot.standalone import setup

setup(path=sys.argv[1])

from django.core.management import call_command  # noqa: E402 (after Django is set up)

import joblot  # noqa: E402
from joblot.errors import NotFound  # noqa: E402


def write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


class Printing(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        for span in spans:
            write(described(span))
        return SpanExportResult.SUCCESS


def described(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None
    return {
        "name": span.name,
        "trace": f"{span.context.trace_id:032x}",
        "parent": span.parent and f"{span.parent.span_id:016x}",
        "span": f"{span.context.span_id:016x}",
        "links": [f"{link.context.trace_id:032x}" for link in span.links],
        "attributes": dict(span.attributes or {}),
        "ok": span.status.is_ok,
        "events": [event.name for event in span.events],
    }


call_command("migrate", "joblot", verbosity=0)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Printing()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("adopter")

with tracer.start_as_current_span("upload"):
    joblot.submit("night", ["a", "b"], pipeline="p")
(first,) = joblot.claim("p", 1).leases
joblot.report(first.token, [joblot.success(0)])
write({"name": "lease", "traceparent": first.traceparent})
with tracer.start_as_current_span("round"):
    (second,) = joblot.claim("p", 1).leases
    joblot.report(second.token, [joblot.success(1)])
with suppress(NotFound):
    joblot.pause(10**12)
