"""The boundary between the core and contrib: neither knows or does the other's part."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.meta.sources import ROOT, python_files

SRC = ROOT / "src" / "joblot"
MOUNTS = {"server/urls.py", "standalone.py"}  # names what `joblot serve` mounts, by dotted path


def core() -> list[Path]:
    return [path for path in python_files("src/joblot") if SRC / "contrib" not in path.parents]


def test_the_core_names_the_protocol_only_where_it_is_mounted() -> None:
    naming = {
        str(path.relative_to(SRC))
        for path in core()
        if "antenna" in path.read_text(encoding="utf-8").lower()
    }
    assert naming == MOUNTS


def test_contrib_writes_no_row() -> None:
    """It reads through `objects`, which refuses every write, and uses no cursor."""
    found = {
        str(path.relative_to(SRC)): named
        for path in python_files("src/joblot/contrib")
        if (named := list(writers(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


def writers(source: str) -> Iterator[str]:
    """Ways to write rows: the ledger's manager of a model, and raw SQL."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            of_model = isinstance(node.value, ast.Name) and node.value.id[:1].isupper()
            if (node.attr == "ledger" and of_model) or node.attr in {"cursor", "raw"}:
                yield ast.unparse(node)


def test_each_way_to_write_is_found() -> None:
    source = "Lease.ledger.using(alias()).update(open=0)\nconnection.cursor()\nL.objects.raw('x')"
    assert set(writers(source)) == {"Lease.ledger", "connection.cursor", "L.objects.raw"}
    assert list(writers("from joblot.ledger import leases\nLease.objects.using(alias())")) == []


def test_a_worker_and_the_api_do_without_it() -> None:
    """A project with only the API loads nothing from contrib."""
    code = (
        "import sys; from django.conf import settings; import django\n"
        "settings.configure(INSTALLED_APPS=['joblot'], ROOT_URLCONF='joblot.api.urls')\n"
        "django.setup()\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "sys.exit(any(name.startswith('joblot.contrib') for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
