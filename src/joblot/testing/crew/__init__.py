"""Worker processes that are started together, suffer what they are told to, and end together."""

from joblot.testing.crew import record
from joblot.testing.crew.parent import Child, Crew

__all__ = ["Child", "Crew", "prepare", "record"]
