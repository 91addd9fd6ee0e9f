"""A worker process of the storm."""

from __future__ import annotations

from typing import Any

from joblot.testing.certify import truth
from joblot.testing.crew.child import Parent
from joblot.testing.crew.rough import RoughWorker


def main(task: dict[str, Any], parent: Parent) -> None:
    parent.send(ready=True)
    if word := parent.wait():
        RoughWorker({**task, **word}, parent, truth.handlers(task["pipelines"])).work()
