"""Fixtures of other folders."""

from tests.cli.conftest import make_joblot

__all__ = ["make_joblot"]
