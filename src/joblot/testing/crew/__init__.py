"""Worker processes that start together, suffer the faults of a test, and end together."""

from joblot.testing.crew import record
from joblot.testing.crew.parent import Child, Crew

__all__ = ["Child", "Crew", "prepare", "record"]
