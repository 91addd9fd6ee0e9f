"""A guard, with a way to remove it and the test that then fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Guard:
    """`kept`: the rule, as a sentence. In `file` (below src/joblot/ledger), `old` becomes `new`.

    `caught_by`: the test that then fails, below tests.
    """

    kept: str
    file: str
    old: str
    new: str
    caught_by: str

    def text(self, src: Path) -> str:
        return (src / "joblot" / "ledger" / self.file).read_text(encoding="utf-8")

    def take_out(self, src: Path) -> None:
        """Remove the guard from a copy of joblot. Raises ValueError unless it occurs once."""
        text = self.text(src)
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: expected {self.old!r} once; fix the table of guards")
        path = src / "joblot" / "ledger" / self.file
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def pair(name: str) -> str:
    return f"interleave/test_pairs.py::test_a_pair[{name}]"


def reader(name: str) -> str:
    return f"interleave/test_readers.py::test_each_answer_is_of_one_committed_state[{name}]"
