"""Whether a child process hangs, as its supervisor sees it from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Watch:
    """What a supervisor knows about one process. This base class never reports a hang."""

    def shared(self) -> Mapping[str, int]:
        """Descriptors that the process inherits, by name."""
        return {}

    def note_answer(self, answer: Mapping[str, Any]) -> None:
        """The process has answered. Called from the thread that listens to it."""

    def hangs(self) -> bool:
        """True if the process must be killed. Called repeatedly while it runs."""
        return False

    def close(self) -> None:
        """The process has ended."""
