"""A process with many open files."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

FD_SETSIZE = 1_024  # `select.select` accepts only smaller descriptors


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As in a process with thousands of connections: new descriptors are larger than 1,023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while opened[-1] <= FD_SETSIZE:
            opened.append(os.dup(opened[0]))
        yield
    finally:
        for one in opened:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
