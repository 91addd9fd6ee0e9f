"""The caller of a request, and what it may do and see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from joblot import operator_name
from joblot.errors import NotAllowed, NotFound
from joblot.shown import shown


class Scope(StrEnum):
    """What a token is for. Admin includes all the others."""

    SUBMIT = "submit"  # create, change and end jobs
    WORK = "work"  # claim and report
    READ = "read"  # read jobs
    ADMIN = "admin"  # all of these, and tokens, workers, webhooks


LOCAL_OWNER = 0  # this machine's user, by the local token


@dataclass(frozen=True, slots=True)
class Caller:
    """The rights of a request. None for `projects` or `pipelines` means all of them."""

    owner: int  # on leases
    name: str
    scopes: frozenset[Scope]
    projects: frozenset[str] | None = None
    pipelines: frozenset[str] | None = None
    in_flight_items_max: int | None = None
    requests_per_minute_max: int | None = None
    body_bytes_max: int | None = None
    actor: str = ""  # its name in the events of what it changes

    @property
    def names(self) -> tuple[str, ...]:
        """Of the owners of its jobs; this machine's user also submits by the command line."""
        return operator_name.own_names() if self.owner == LOCAL_OWNER else (self.actor,)

    def require(self, *scopes: Scope) -> None:
        """Raises NotAllowed unless the token has one of these scopes."""
        if Scope.ADMIN not in self.scopes and not self.scopes.intersection(scopes):
            wanted = " or ".join(scopes)
            raise NotAllowed(
                f"expected a token with the scope {wanted}, got one with "
                f"{', '.join(sorted(self.scopes)) or 'none'}"
            )

    def sees(self, project: str) -> bool:
        return self.projects is None or project in self.projects

    def require_sight(self, job_id: int, project: str) -> None:
        """Raises NotFound, as for a job that does not exist, so that its existence stays hidden."""
        if not self.sees(project):
            raise NotFound(f"job {job_id} does not exist; `joblot jobs` lists those that do")

    def project_for(self, asked: str | None) -> str:
        """The project of a new job. Raises NotAllowed."""
        if self.projects is None:
            return "default" if asked is None else asked
        if asked is None and len(self.projects) == 1:
            return next(iter(self.projects))
        if asked is None or asked not in self.projects:
            raise NotAllowed(
                f"project: expected one of this token's, {', '.join(sorted(self.projects))}; "
                f"got {shown(asked)}"
            )
        return asked

    def require_pipelines(self, asked: Iterable[str]) -> None:
        """Raises NotAllowed if one of them is not this token's."""
        wanted = set(asked)
        if self.pipelines is not None and (foreign := sorted(wanted - self.pipelines)):
            raise NotAllowed(
                f"pipelines: expected some of this token's, {', '.join(sorted(self.pipelines))}; "
                f"got {', '.join(foreign)}"
            )


LOCAL = Caller(
    owner=LOCAL_OWNER,
    name=operator_name.LOCAL,
    scopes=frozenset(Scope),
    actor=operator_name.LOCAL,
)
