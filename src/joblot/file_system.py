"""The file system that a path is on, as the kernel lists it. Imports no Django."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SHARED = frozenset(
    {"9p", "afs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "ocfs2", "smb3", "smbfs"}
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """`kind` as in `mount`: ext4, nfs4, overlay; "an unknown file system" if it is not listed."""

    kind: str = "an unknown file system"

    @property
    def is_shared(self) -> bool:
        """True if other machines may use it."""
        return self.kind in SHARED or self.kind.startswith(("nfs", "fuse"))


def of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> FileSystem:
    """Of the path, or of the folder above it that exists. The last that was mounted there wins."""
    real = path.resolve()
    found, at = FileSystem(), Path()
    for line in _lines(mounts):
        _, place, kind, *_ = line.split(" ")
        folder = Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), place))
        if (folder == real or folder in real.parents) and len(folder.parts) >= len(at.parts):
            found, at = FileSystem(kind), folder
    return found


def is_shared(path: Path) -> bool:
    return of(path).is_shared


def _lines(mounts: Path) -> list[str]:
    try:
        text = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.count(" ") >= 2]
