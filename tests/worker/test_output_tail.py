"""What a process writes is divided into items by positions; the last bytes of each are kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from joblot.worker import output_tail
from joblot.worker.output_tail import (
    COUNT,
    KEPT_BYTES_MAX,
    PIECE_BYTES_MAX,
    RING_BYTES,
    STEP,
)
from tests.worker.printing import Output, open_output


@pytest.fixture
def output() -> Iterator[Output]:
    with open_output() as one:
        yield one


@pytest.fixture
def unread() -> Iterator[Output]:
    with open_output(is_read=False) as one:
        yield one


def test_each_item_has_what_was_written_since_it_began(output: Output) -> None:
    output.write("the module was imported\n")
    for n in range(200):
        output.tail.begin()
        output.write(f"item {n}\n" * (n % 3))
        assert output.tail.item_output() == f"item {n}\n".encode() * (n % 3)


def test_what_an_item_has_written_is_its_own_even_if_it_is_read_later(unread: Output) -> None:
    unread.write("of the item before\n")
    unread.tail.begin()
    unread.write("of this one\n")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(unread.tail.item_output)
        assert unread.reader.read() == b"of the item before\nof this one\n"
        assert found.result() == b"of this one\n"


def test_nothing_is_kept_while_the_reader_is_in_the_middle_of_a_read(unread: Output) -> None:
    """It has taken the output of the item before out of the pipe, and not counted it."""
    unread.write("of the item before\n")
    COUNT.pack_into(unread.tail._memory, STEP, 1)
    unread.tail.begin()
    COUNT.pack_into(unread.tail._memory, STEP, 2)
    unread.reader.read()
    assert unread.tail.item_output() == b""


@pytest.mark.parametrize(
    "size",
    [
        *(KEPT_BYTES_MAX - 1, KEPT_BYTES_MAX, KEPT_BYTES_MAX + 1),
        *(RING_BYTES - 1, RING_BYTES, RING_BYTES + 1, 2 * RING_BYTES + 3),
        *(PIECE_BYTES_MAX, PIECE_BYTES_MAX + RING_BYTES + 5, 1_000_003),
    ],
)
def test_the_last_bytes_of_long_output_are_kept_wherever_they_are_in_the_ring(
    output: Output, size: int
) -> None:
    text = bytes(n % 251 for n in range(size))
    for _ in range(3):  # each begins at another place in the ring
        output.tail.begin()
        output.write(text)
        assert output.tail.item_output() == text[-KEPT_BYTES_MAX:]


def test_a_program_that_writes_on_delays_nothing(output: Output) -> None:
    """It keeps the descriptor open, and outlives the item and those after it."""
    stop = threading.Event()

    def write_on() -> None:
        while not stop.is_set():
            output.write(b"x" * 100)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_on)
        try:
            for _ in range(20):
                output.tail.begin()
                output.write("mine\n")
                assert len(output.tail.item_output()) <= KEPT_BYTES_MAX
        finally:
            stop.set()
        writing.result()


def test_a_reader_that_does_not_read_delays_an_item_for_a_limited_time(
    unread: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_tail, "READ_SECONDS_MAX", 0.01)
    unread.tail.begin()
    unread.write("not read\n")
    assert unread.tail.item_output() == b""


def test_after_a_reader_was_killed_while_reading_another_one_reads_on(unread: Output) -> None:
    """When a supervisor is killed, its worker reads its own output."""
    COUNT.pack_into(unread.reader._memory, STEP, 7)
    unread.write("before\n")
    assert unread.tail.read() == b"before\n"
    unread.write("of the item before\n")
    unread.tail.begin()
    unread.write("after\n")
    assert unread.tail.read() == b"of the item before\nafter\n"
    assert unread.tail.item_output() == b"after\n"


def test_the_reader_has_what_an_ended_process_wrote_in_its_last_item(unread: Output) -> None:
    unread.write("of the item before\n")
    unread.tail.begin()
    unread.write("free(): invalid pointer\n")
    unread.reader.read()
    assert unread.reader.last_output() == b"free(): invalid pointer\n"


def test_a_function_that_closes_every_descriptor_loses_only_its_output(output: Output) -> None:
    spare = os.dup(output.tail._pipe)
    os.close(output.tail._pipe)
    try:
        output.tail.begin()
        output.write("x")
        assert output.tail.item_output() in (b"", b"x")
    finally:
        os.dup2(spare, output.tail._pipe)
        os.close(spare)
