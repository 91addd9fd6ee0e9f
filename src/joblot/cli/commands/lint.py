"""`joblot lint`: find lost updates in the code of a Django project."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from joblot.cli.exits import DONE, ENDED_BADLY
from joblot.cli.options import AsJson
from joblot.cli.printable import say, say_json
from joblot.errors import InvalidInput
from joblot.lint.check import Report, check
from joblot.lint.rules import RULES
from joblot.shown import counted


def lint(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Python files, and folders of them.")
    ],
    *,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="CODE", help="Only these rules. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find ways to lose updates in a Django project's code; exit code 1 if there are any."""
    report = check(paths, select=_codes(select))
    if as_json:
        say_json(_as_json(report))
    else:
        _print(report)
    raise typer.Exit(ENDED_BADLY if report.findings else DONE)


def _codes(select: list[str] | None) -> frozenset[str]:
    codes = frozenset(select or RULES)
    if unknown := sorted(codes - set(RULES)):
        known = ", ".join(RULES)
        raise InvalidInput(f"--select: expected one of {known}, got {unknown[0]!r}")
    return codes


def _as_json(report: Report) -> dict[str, object]:
    return {
        "ok": not report.findings,
        "files": report.files,
        "suppressed": report.suppressed,
        "findings": [one.as_json() for one in report.findings],
    }


def _print(report: Report) -> None:
    """The findings by file, then each rule that they break, once."""
    for path, findings in groupby(report.findings, key=lambda one: one.path):
        for one in findings:
            say(f"{path}:{one.line}:{one.column + 1}: {one.rule.code} {one.what}")
    for rule in RULES.values():
        if any(one.rule is rule for one in report.findings):
            say("")
            say(f"{rule.code} {rule.name}")
            say(f"  Why:  {rule.why}")
            say(f"  Fix: {rule.fix}")
    if report.findings:
        say("")
    suppressed = f", {report.suppressed:,} suppressed" if report.suppressed else ""
    found = counted(len(report.findings), "finding")
    say(f"{counted(report.files, 'file')} checked, {found}{suppressed}")
