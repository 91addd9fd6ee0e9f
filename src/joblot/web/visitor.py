"""The person in front of a page: a user of Django's, or this machine's user by a printed link."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from joblot import local, operator_name
from joblot.errors import NotAllowed
from joblot.identity.caller import LOCAL_OWNER, Caller, Scope
from joblot.identity.local import local_mark
from joblot.web.models import Membership

LOCAL_SESSION = "joblot_local"  # in a session: the mark of the local token that it was begun under
PERSON = -1  # the owner of no lease: people hold none

READS = frozenset({Scope.READ})
OPERATES = READS | {Scope.SUBMIT}
OPERATES_ALL = OPERATES | {Scope.ADMIN}


@dataclass(frozen=True, slots=True)
class Visitor(Caller):
    """A caller who may operate some of the projects that they see; None means all of them."""

    operates: frozenset[str] | None = frozenset()

    def may_operate(self, project: str) -> bool:
        return self.operates is None or project in self.operates

    def require_operator_somewhere(self) -> None:
        """Raises NotAllowed."""
        if not self.operates_any:
            raise NotAllowed(
                f"{self.name} may see jobs, but change none; that takes the role operator"
            )

    @property
    def operates_any(self) -> bool:
        return self.operates is None or bool(self.operates)

    def require_operator(self, project: str) -> None:
        """Raises NotAllowed."""
        if not self.may_operate(project):
            raise NotAllowed(
                f"{self.name} may see the jobs of {project}, but not change them; that takes the "
                "role operator"
            )


LOCAL = Visitor(
    owner=LOCAL_OWNER,
    name=operator_name.LOCAL,
    scopes=frozenset(Scope),
    operates=None,
    actor=operator_name.LOCAL,
)


def visitor_of(request: HttpRequest) -> Visitor | None:
    """Who is signed in; None if nobody is. Raises NotAllowed for a user without any right."""
    if _is_local(request):
        return LOCAL
    user: Any = request.user
    return of_user(user) if user.is_authenticated else None


def of_user(user: Any) -> Visitor:
    """The rights of a user of Django's. Raises NotAllowed if there are none."""
    name = user.get_username()
    if user.has_perm("joblot_web.operate_jobs"):
        return Visitor(owner=PERSON, name=name, scopes=OPERATES_ALL, operates=None, actor=name)
    roles = dict(Membership.objects.filter(user=user).values_list("project", "role"))
    if user.has_perm("joblot_web.view_jobs"):
        roles.setdefault(None, Membership.Role.READER)
    if not roles:
        raise NotAllowed(
            f"{name} is signed in, but has no role in any project; an administrator can give one"
        )
    operates = {project for project, role in roles.items() if role == Membership.Role.OPERATOR}
    everywhere = None in operates
    return Visitor(
        owner=PERSON,
        name=name,
        scopes=OPERATES_ALL if everywhere else OPERATES if operates else READS,
        projects=None if None in roles else frozenset(filter(None, roles)),
        operates=None if everywhere else frozenset(filter(None, operates)),
        actor=name,
    )


def is_here(request: HttpRequest) -> bool:
    """True if the browser names this server by a loopback address.

    It names another host if a foreign page's name was pointed to this machine (DNS rebinding).
    """
    name = request.get_host().rpartition(":")[0] or request.get_host()
    return local.is_loopback(name.strip("[]"))


def _is_local(request: HttpRequest) -> bool:
    """True for a session of this machine's user: it ends when the local token is replaced."""
    given = request.session.get(LOCAL_SESSION)
    if not isinstance(given, str) or (mark := local_mark()) is None:
        return False
    return secrets.compare_digest(given, mark) and is_here(request)
