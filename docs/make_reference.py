"""Write docs/reference/python.md from the code: `python docs/make_reference.py`.

The code is parsed, not run, so that signatures appear as they are written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import joblot
from joblot import errors
from joblot.states import Receipt

PAGE = Path(__file__).parent / "reference/python.md"
SOURCE = Path(joblot.__file__).parent

HEAD = """# Reference

Generated from the code by `python docs/make_reference.py`; a test checks that it is up to date. The
terms are defined in the [glossary](glossary.md). Commands have [their own reference](cli.md).

Import the names marked **public** from `joblot` itself, and the others from the module named above
them.
"""

VERBS = {
    "Producers": {
        "ledger.submit.submit": ["submit", "add_items", "seal"],
        "ledger.job.lifecycle": ["start", "pause", "resume", "cancel", "retry", "delete"],
    },
    "Workers": {
        "ledger.claim.claim": ["claim"],
        "wire": ["success", "failure"],
        "ledger.report.report": ["report"],
        "ledger.lease": ["renew", "renew_many", "release", "expire"],
    },
    "Hooks and events": {
        "ledger.report.hooks": ["on_result", "on_late", "on_event"],
        "ledger.maintain.delivery": ["deliver", "deliver_until"],
        "delivery.supervisor": ["supervise_until"],
    },
    "Readers": {
        "ledger.read.progress": ["progress", "jobs"],
        "ledger.claim.availability": ["next_job"],
        "ledger.read.items": ["items", "outputs"],
        "ledger.read.history": ["events", "logs"],
        "ledger.rows.log": ["log"],
        "ledger.read.why": ["why"],
        "ledger.read.map": ["job_map"],
        "ledger.read.audit": ["audit", "audit_all"],
    },
    "Repair": {"ledger.maintain.repair": ["repair"]},
    "Periodic work": {
        "ledger.maintain.sweep": ["sweep", "sweep_until"],
        "ledger.job.prune": ["prune"],
    },
    "Webhooks": {
        "webhooks.subscriptions": ["subscribe", "webhooks", "webhook", "end"],
        "webhooks.deliveries": ["deliveries", "resend"],
        "webhooks.sender": ["send_until", "send_due"],
        "webhooks.receiver": ["verify"],
        "webhooks.received": ["receives"],
    },
    "For tests": {"clock": ["set_clock"]},
}

SHAPES = {
    "wire": ["Claim", "GrantedLease", "ClaimedItem", "Result", "Error", "ItemReceipt"],
    "ledger.claim.availability": ["Next", "NextJob"],
    "ledger.report.hooks": ["SettledResult", "JobNotice"],
    "ledger.maintain.sweep": ["Swept"],
    "webhooks.receiver": ["Message"],
}

RECEIPTS = {
    Receipt.COUNTED: "the item is settled by this result",
    Receipt.REQUEUED: "a retryable failure within the budget; the item waits for its next attempt",
    Receipt.DUPLICATE: "the item is already settled with this result; nothing was done",
    Receipt.CONFLICTING: "the item has succeeded with another output, which stays; this one is "
    "stored for inspection",
    Receipt.SUPERSEDED: "a failure that a better or newer result precedes; nothing was done",
    Receipt.AMENDED: "the item had failed or was lost, and has now succeeded",
    Receipt.LATE: "the success arrived too late to count; it is stored",
    Receipt.DEFERRED: "the hook or the storage failed temporarily; the item is still open: post "
    "the result again",
    Receipt.REJECTED: "the result is invalid, or this lease was not granted the item; `reason` "
    "says which",
}

SETTINGS_HEAD = """
## Policy

Policies are per job: `submit(policy={…})`. `settings.JOBLOT["POLICY"]` changes the defaults.

"""

LIMITS_HEAD = """
## Limits

Limits are per installation: `settings.JOBLOT = {"CLAIM_ITEMS_MAX": 500}`, in upper or lower case.
Unknown names are refused. A name includes its unit.

"""

ANTENNA_HEAD = """
## Limits of an older fleet's protocol

For [that protocol](antenna.md), likewise: `settings.JOBLOT_ANTENNA = {"AHEAD_ITEMS": 480}`.

"""


def parsed(module: str) -> ast.Module:
    return ast.parse(source(module))


def source(module: str) -> str:
    return SOURCE.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def named(module: str, name: str) -> ast.FunctionDef | ast.ClassDef:
    for node in parsed(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
    raise LookupError(f"joblot.{module} has no {name}")


def first_paragraph(node: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n\n")[0]


def verbs() -> Iterator[str]:
    for caller, modules in VERBS.items():
        yield f"\n## {caller}\n"
        for module, names in modules.items():
            yield f"\n`joblot.{module}`\n"
            yield from (verb(module, name) for name in names)


def verb(module: str, name: str) -> str:
    node = named(module, name)
    assert isinstance(node, ast.FunctionDef)
    public = " **public**" if name in joblot.__all__ else ""
    text = ast.get_docstring(node)
    shown = f"\n{text}\n" if text else ""
    return f"\n### `{name}`{public}\n\n```python\n{signature(node)}\n```\n{shown}"


def signature(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    parts = list(arguments(node.args))
    flat = f"{node.name}({', '.join(parts)}){returns}"
    if len(flat) <= 92:
        return flat
    lines = "".join(f"    {part},\n" for part in parts)
    return f"{node.name}(\n{lines}){returns}"


def arguments(given: ast.arguments) -> Iterator[str]:
    required = len(given.args) - len(given.defaults)
    defaults = [*[None] * required, *given.defaults]
    yield from map(argument, given.args, defaults)
    if given.vararg:
        yield f"*{argument(given.vararg, None)}"
    elif given.kwonlyargs:
        yield "*"
    yield from map(argument, given.kwonlyargs, given.kw_defaults)


def argument(given: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(given.annotation)}" if given.annotation else ""
    return f"{given.arg}{kind}" + (f" = {ast.unparse(default)}" if default else "")


def shapes() -> Iterator[str]:
    yield "\n## Shapes\n"
    for module, names in SHAPES.items():
        for name in names:
            node = named(module, name)
            yield f"\n### `joblot.{module}.{name}`\n\n{first_paragraph(node)}\n\n"
            yield "| field | type | default |\n|---|---|---|\n"
            yield from (f"| `{n}` | `{t}` | {d and f'`{d}`'} |\n" for n, t, d, _ in fields(node))


def fields(node: ast.FunctionDef | ast.ClassDef) -> Iterator[tuple[str, str, str, int]]:
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            default = ast.unparse(part.value) if part.value else ""
            kind = ast.unparse(part.annotation).replace("|", "\\|")
            yield part.target.id, kind, default, part.lineno


def settings(module: str, name: str) -> Iterator[str]:
    """A table of the fields of a class of limits, with the comments beside them."""
    lines = source(module).splitlines()
    yield "| name | default | |\n|---|---|---|\n"
    for field, _, default, number in fields(named(module, name)):
        comment = re.search(r"#\s*(.*)", lines[number - 1])
        shown = f"{int(default):,}" if re.fullmatch(r"\d+", default) else default
        yield f"| `{field}` | {shown} | {comment[1] if comment else ''} |\n"


def receipts() -> Iterator[str]:
    yield "\n## Receipts\n\n[The state machines](state-machine.md) say which one a result gets.\n"
    yield "\n| receipt | |\n|---|---|\n"
    yield from (f"| `{receipt}` | {RECEIPTS[receipt]} |\n" for receipt in Receipt)


def reasons() -> Iterator[str]:
    lines = source("states").splitlines()
    yield "\n## Reasons\n\n"
    yield "The reasons why a claim is granted nothing.\n\n| reason | |\n|---|---|\n"
    for node in named("states", "NoLease").body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            comment = lines[node.lineno - 1].partition("# ")[2]
            yield f"| `{node.value.value}` | {comment} |\n"


def error_tree() -> Iterator[str]:
    yield "\n## Errors\n\nAll in `joblot.errors`. Codes are stable.\n"
    yield "\n| error | code | is a | |\n|---|---|---|---|\n"
    for node in parsed("errors").body:
        if isinstance(node, ast.ClassDef):
            kind = getattr(errors, node.name)
            base = kind.__base__.__name__
            yield f"| `{node.name}` | `{kind.code}` | `{base}` | {first_paragraph(node)} |\n"


def page() -> str:
    parts: Iterable[str] = (
        HEAD,
        *verbs(),
        *shapes(),
        *receipts(),
        *reasons(),
        *error_tree(),
        SETTINGS_HEAD,
        *settings("config", "Policy"),
        LIMITS_HEAD,
        *settings("config", "Limits"),
        ANTENNA_HEAD,
        *settings("contrib.antenna.limits", "AntennaLimits"),
    )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
