"""Concurrent verbs in a scene: every order of their statements, up to a bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from joblot import config
from joblot.ledger.claim import queue
from joblot.ledger.rows import claimable, workers
from joblot.testing.interleave import Cast, Report, explore
from tests.interleave import handler
from tests.interleave.readers import Witness, answer, of_several_statements, require_one_state
from tests.interleave.scenes import SCENES, SECONDS, Scene
from tests.interleave.snapshot import Snapshot
from tests.interleave.verbs import VERBS
from tests.interleave.verdict import REFUSALS, Verdict
from tests.ledger.conftest import Clock


@dataclass(frozen=True, slots=True)
class Bound:
    """All schedules with up to `preemptions`, at most `schedules`; then `samples` random ones."""

    preemptions: int
    schedules: int
    samples: int


@dataclass(slots=True)
class Set:
    """A scene that was created, and what is known of it so far."""

    scene: Scene
    snapshot: Snapshot
    verdict: Verdict


@dataclass(slots=True)
class Theatre:
    """The scenes of this process, each created once per database."""

    to_the_end: bool  # whether each end is worked to the job's end
    sets: dict[tuple[str, str], Set] = field(default_factory=dict)
    casts: dict[str, Cast] = field(default_factory=dict)  # by database

    def play(self, using: str, scene: str, verbs: list[str], bound: Bound) -> Report:
        """Explore the verbs; raises ScheduleFailed, also after a deadlock: locks have one order."""
        config.configure({"merge_ranges_min": 1, "candidates_seconds": 600})
        clock = Clock()
        try:
            with handler.registered():
                at = self._at(using, scene, clock)
                clock.forward(SECONDS)
                return self._explore(using, at, verbs, bound)
        finally:
            clock.release()
            config.configure({})

    def read(self, using: str, scene: str, verb: str, bound: Bound) -> None:
        """Explore each reader with the verb; raises ScheduleFailed for an inconsistent answer."""
        clock = Clock()
        try:
            at = self._at(using, scene, clock)
            clock.forward(SECONDS)
            self._explore_readers(using, at, verb, bound)
        finally:
            clock.release()

    def close(self) -> None:
        for cast in self.casts.values():
            cast.close()

    def _at(self, using: str, name: str, clock: Clock) -> Set:
        known = self.sets.get((using, name))
        if known is None:
            forget()
            scene = SCENES[name]()
            snapshot = Snapshot(using, name)
            known = self.sets[using, name] = Set(
                scene, snapshot, Verdict(scene, snapshot, to_the_end=self.to_the_end)
            )
        return known

    def _explore(self, using: str, at: Set, verbs: list[str], bound: Bound) -> Report:
        at.verdict.changed = None  # another scene may have run since

        def reset() -> None:
            forget()
            at.snapshot.restore(at.verdict.changed)
            at.verdict.changed = None

        names = [verb + " again" * verbs[:n].count(verb) for n, verb in enumerate(verbs)]
        acts = [partial(VERBS[verb].act, at.scene) for verb in verbs]
        report = explore(
            dict(zip(names, acts, strict=True)),
            setup=reset,
            check=at.verdict.check,
            using=using,
            preemptions=bound.preemptions,
            schedules_max=bound.schedules,
            samples=bound.samples,
            allowed=REFUSALS,
            reduced=True,
            alike=len(set(verbs)) == 1,
            cast=self.casts.get(using) or self.casts.setdefault(using, Cast(using)),
        )
        assert report.deadlocks == 0, f"{report.deadlocks} deadlocks"
        return report

    def _explore_readers(self, using: str, at: Set, verb: str, bound: Bound) -> None:
        act = partial(VERBS[verb].act, at.scene)
        forget()
        at.snapshot.restore()
        readers = of_several_statements(using, at.scene)
        seen = Witness(using).seen(readers, at.scene, act)
        changed = at.snapshot.changed(at.snapshot.rows())

        def reset() -> None:
            forget()
            at.snapshot.restore(changed)

        for name, reader in readers.items():
            explore(
                {name: partial(answer, reader, at.scene), verb: act},
                setup=reset,
                check=partial(require_one_state, name, seen[name]),
                using=using,
                preemptions=bound.preemptions,
                schedules_max=bound.schedules,
                samples=bound.samples,
                allowed=REFUSALS,
                reduced=True,
                cast=self.casts.get(using) or self.casts.setdefault(using, Cast(using)),
            )
        at.snapshot.restore()


def forget() -> None:
    """Clear this process's cursors and caches of claims; each schedule starts without them."""
    queue.forget()
    workers.forget()
    claimable.note_claimable()
