"""Where the demo keeps its job, and what is installed beside joblot."""

from joblot.testing.temporary import opened

APPS = ("joblot.demo",)

__all__ = ["APPS", "opened"]
