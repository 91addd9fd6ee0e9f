"""The 1,797 handwritten digits that ship with scikit-learn, and a classifier for them.

Importing scikit-learn takes seconds, so it is imported only where it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

SIDE = 8  # pixels
INK_MAX = 16  # per pixel
BROKEN = {"key": "broken", "payload": {"pixels": "no image"}}


@dataclass(frozen=True, slots=True)
class Digits:
    """Images as lists of 64 integers, 0 to 16, and the digit that each shows, 0 to 9."""

    images: Sequence[Sequence[int]]
    labels: Sequence[int]

    @property
    def half(self) -> int:
        """The classifier is trained on the images before this index and tested on the rest."""
        return len(self.images) // 2

    @property
    def ink(self) -> int:
        return sum(map(sum, self.images))

    def items(self, seed: int) -> list[Mapping[str, Any]]:
        """One item per image, and a broken one somewhere among them."""
        items: list[Mapping[str, Any]] = [
            {"key": key(number), "payload": {"pixels": list(image)}}
            for number, image in enumerate(self.images)
        ]
        items.insert(Random(seed).randrange(len(items)), BROKEN)
        return items

    def right(self, seen: Mapping[str, int]) -> int:
        """How many of the second half were `seen` (by key) correctly."""
        numbers = range(self.half, len(self.labels))
        return sum(seen.get(key(number)) == self.labels[number] for number in numbers)

    def right_alone(self) -> int:
        """How many of them the classifier recognizes when it runs without joblot."""
        numbers = range(self.half, len(self.labels))
        return self.right({key(number): classify(self.images[number]) for number in numbers})


def key(number: int) -> str:
    return f"digit-{number:04}"


# Threads: a cache that at worst computes the same value twice.
@cache
def load() -> Digits:
    from sklearn.datasets import load_digits  # noqa: PLC0415

    data = load_digits()
    return Digits(data.data.astype(int).tolist(), data.target.tolist())


# Threads: a cache that at worst computes the same value twice.
@cache
def _classifier() -> Any:
    """A support vector machine, trained on the first half; the same in every process."""
    from sklearn.svm import SVC  # noqa: PLC0415

    digits = load()
    return SVC(gamma=0.001).fit(digits.images[: digits.half], digits.labels[: digits.half])


def classify(pixels: Any) -> int:
    """Return the digit that an image shows. Raises ValueError for anything but an image."""
    return int(_classifier().predict([_checked(pixels)])[0])


def _checked(pixels: Any) -> list[int]:
    if not isinstance(pixels, list) or len(pixels) != SIDE * SIDE:
        raise ValueError(f"pixels: expected a list of {SIDE * SIDE} numbers, got {pixels!r:.60}")
    return pixels
