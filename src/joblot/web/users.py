"""Users of the pages, as `joblot user` manages them: Django's own, with roles in projects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, router, transaction

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.db.transactions import repeated
from joblot.ledger.rows.names import checked_name
from joblot.shown import shown
from joblot.web.models import Membership

ROLES = tuple(role.value for role in Membership.Role)
ALL = None  # as a project: all of them


@repeated
def add_user(name: str, password: str, *, projects: Iterable[str] | None, role: str) -> None:
    """Create a user with this role in the projects; None means all. Raises InvalidInput."""
    _check(name, password)
    wanted = _places(projects)
    try:
        with transaction.atomic(using=router.db_for_write(Membership)):
            user = _users().create_user(username=name, password=password)
            for project in wanted:
                _give(user, project, _role(role))
    except IntegrityError as error:
        if not _users().filter(**{get_user_model().USERNAME_FIELD: name}).exists():
            raise
        raise InvalidInput(
            f"user {shown(name, 60)} exists; change their role with `joblot user role`, their "
            "password with `joblot user password`"
        ) from error


@repeated
def change_role(name: str, *, projects: Iterable[str] | None, role: str | None) -> None:
    """Give the user this role in the projects, or with None take it away. Raises NotFound."""
    user = _find(name)
    for project in _places(projects):
        if role is None:
            Membership.objects.filter(user=user, project=project).delete()
        else:
            _give(user, project, _role(role))


@repeated
def change_password(name: str, password: str) -> None:
    """Also ends the user's sessions. Raises NotFound, InvalidInput."""
    user = _find(name)
    _check(name, password)
    user.set_password(password)
    user.save(update_fields=["password"])


@repeated
def remove_user(name: str) -> None:
    """Remove the user and all their roles; their next request is refused. Raises NotFound."""
    _find(name).delete()


@repeated
def users() -> list[dict[str, Any]]:
    """All users by name, with their roles; the project None means all of them."""
    roles: dict[Any, list[dict[str, Any]]] = {}
    for one in Membership.objects.order_by("project"):
        roles.setdefault(one.user_id, []).append({"project": one.project, "role": one.role})
    return [
        {
            "name": user.get_username(),
            "superuser": user.is_superuser,
            "roles": roles.get(user.pk, []),
            "last_login_at": None if user.last_login is None else user.last_login.isoformat(),
        }
        for user in _users().order_by(get_user_model().USERNAME_FIELD)
    ]


def _users() -> Any:
    return get_user_model()._default_manager  # noqa: SLF001 (Django's documented way)


def _find(name: str) -> Any:
    try:
        return _users().get_by_natural_key(name)
    except get_user_model().DoesNotExist:
        raise NotFound(f"user {shown(name, 60)} does not exist; see `joblot user list`") from None


def _check(name: str, password: str) -> None:
    user = get_user_model()(**{get_user_model().USERNAME_FIELD: name})
    try:
        user.clean_fields(exclude=["password"])
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidInput(f"user: {' '.join(error.messages)}") from None


def _places(projects: Iterable[str] | None) -> list[str | None]:
    if projects is None:
        return [ALL]
    return [checked_name(project, "project") for project in projects]


def _give(user: Any, project: str | None, role: str) -> None:
    Membership.objects.update_or_create(user=user, project=project, defaults={"role": role})


def _role(given: str) -> str:
    if given not in ROLES:
        raise InvalidInput(f"role: expected {' or '.join(ROLES)}, got {shown(given, 40)}")
    return given
