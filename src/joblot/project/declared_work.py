"""The functions that a project declares with `@work`: in `work.py` of each app, or as settings say.

`settings.JOBLOT_WORK_MODULES` names more modules, for functions that are elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from joblot.errors import InvalidInput
from joblot.worker.function import load_module
from joblot.worker.handlers import Handler, by_pipeline, declared
from joblot.worker.retrying import Retrying

MODULE = "work"  # of an app, as `admin` is for the admin
MORE = "JOBLOT_WORK_MODULES"


def handlers_of_project(pipelines: Sequence[str], retrying: Retrying) -> list[Handler]:
    """What serves these pipelines, or all that are declared if none is named.

    Raises InvalidInput if one of them is not declared, or two functions serve the same; whatever a
    module raises while it is imported.
    """
    autodiscover_modules(MODULE)
    for name in _more():
        load_module(name)
    served = by_pipeline(declared(retrying=retrying))
    if unknown := sorted(set(pipelines) - set(served)):
        raise InvalidInput(
            f"--pipeline {', '.join(unknown)}: the project serves {', '.join(sorted(served))}"
        )
    return [one for name, one in served.items() if not pipelines or name in pipelines]


def _more() -> Sequence[str]:
    named = getattr(settings, MORE, ())
    if isinstance(named, str) or not all(isinstance(one, str) for one in named):
        raise InvalidInput(f"settings.{MORE}: expected a list of modules' names, got {named!r}")
    return tuple(named)
