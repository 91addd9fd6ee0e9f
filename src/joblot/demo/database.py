"""Where the demo keeps its job, and which apps it installs besides joblot."""

from joblot.testing.temporary import opened

APPS = ("joblot.demo",)

__all__ = ["APPS", "opened"]
