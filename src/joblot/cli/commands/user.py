"""`joblot user`: who may sign in to the pages."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Any

import typer
from django.apps import apps

from joblot.cli import text, verbs
from joblot.cli.database import choose_database, make_served_database
from joblot.cli.exits import Commands
from joblot.cli.options import AsJson, Db
from joblot.cli.printable import say, say_json
from joblot.errors import InvalidInput

user = typer.Typer(
    cls=Commands, no_args_is_help=True, help="Create, list and remove users of the pages."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name to sign in with.")]
Projects = Annotated[
    list[str] | None,
    typer.Option("--project", help="Only in this project (default: in all). Repeatable."),
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin, one line.")
]


@user.command()
def add(
    name: Name,
    *,
    project: Projects = None,
    role: Annotated[
        str, typer.Option("--role", help="reader sees jobs; operator also changes them.")
    ] = "reader",
    password_stdin: FromStdin = False,
    db: Db = None,
) -> None:
    """Create a user. Asks for the password, twice."""
    _open(db, make=True)
    verbs.add_user(name, _password(password_stdin), projects=project or None, role=role)
    say(f"user {name} is {role} of {', '.join(project) if project else 'all projects'}")


@user.command()
def role(
    name: Name,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="reader, operator or none.")],
    *,
    project: Projects = None,
    db: Db = None,
) -> None:
    """Change a user's role in the projects."""
    _open(db)
    verbs.change_role(name, projects=project or None, role=None if role == "none" else role)
    say(f"user {name} is {role} of {', '.join(project) if project else 'all projects'}")


@user.command()
def password(name: Name, *, password_stdin: FromStdin = False, db: Db = None) -> None:
    """Change a user's password, which signs them out everywhere."""
    _open(db)
    verbs.change_password(name, _password(password_stdin))
    say(f"user {name} has a new password")


@user.command()
def remove(name: Name, *, db: Db = None) -> None:
    """Remove a user; their next request is refused."""
    _open(db)
    verbs.remove_user(name)
    say(f"user {name} was removed")


@user.command(name="list")
def list_users(*, as_json: AsJson = False, db: Db = None) -> None:
    """List the users and their roles."""
    _open(db)
    page = verbs.users()
    if as_json:
        say_json(page)
    else:
        text.table(["name", "roles", "last sign-in"], [_cells(one) for one in page])


def _open(db: Any, *, make: bool = False) -> None:
    """The database with the users' tables. Raises InvalidInput where a project has no pages."""
    if make:
        make_served_database(db)
    else:
        choose_database(db, served=True)
    if "joblot_web" not in apps.app_configs:
        raise InvalidInput(
            'this project does not install the pages; add "joblot.web" to INSTALLED_APPS'
        )


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidInput("there is no terminal to ask for the password; use --password-stdin")
    given = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != given:
        raise InvalidInput("the two passwords differ; nothing was changed")
    return given


def _cells(one: dict[str, Any]) -> list[Any]:
    roles = [f"{role['role']} of {role['project'] or 'all projects'}" for role in one["roles"]]
    if one["superuser"]:
        roles.insert(0, "superuser")
    return [one["name"], ", ".join(roles) or "none", (one["last_login_at"] or "never")[:19]]
