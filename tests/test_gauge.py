"""Gauges in Prometheus's text format."""

from __future__ import annotations

from joblot.gauge import Gauge, as_text


def test_what_a_name_means_is_printed_once_and_no_digit_is_lost() -> None:
    text = as_text(
        [
            Gauge("jobs", 1_234_567, "Jobs there are.", {"status": "STARTED"}),
            Gauge("jobs", 0, "Jobs there are.", {"status": "PENDING"}),
            Gauge("late_seconds", 0.25, "Since when."),
        ]
    )
    assert text.splitlines() == [
        "# HELP joblot_jobs Jobs there are.",
        "# TYPE joblot_jobs gauge",
        'joblot_jobs{status="STARTED"} 1.234567e+06',
        'joblot_jobs{status="PENDING"} 0.0',
        "# HELP joblot_late_seconds Since when.",
        "# TYPE joblot_late_seconds gauge",
        "joblot_late_seconds 0.25",
    ]
