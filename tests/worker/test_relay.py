"""The standard error of a worker, whose reader may be slow."""

from __future__ import annotations

import os

from joblot.worker.relay import Relay
from tests.descriptors import many_descriptors

__all__ = ["many_descriptors"]

FULL = b"z" * 4_194_304  # more than a pipe holds


def test_a_full_pipe_is_waited_for_on_a_descriptor_of_any_number(many_descriptors: None) -> None:
    """It does not block if it is shared with a program that has set it so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    assert os.write(writing, FULL) < len(FULL)
    relay = Relay(writing)
    relay.write(b"and more")
    relay.wait(0.2)  # so that it tries before the pipe has room
    seen = b""
    while not seen.endswith(b"and more"):
        seen += os.read(reading, len(FULL))
    relay.wait(30)
    for end in (reading, writing):
        os.close(end)
