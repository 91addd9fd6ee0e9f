"""What passes through Python's streams during a call is kept, and the streams stay as they were."""

# ruff: noqa: T201 (what is printed is what is tested)
from __future__ import annotations

import array
import io
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from joblot.worker import stream_tail
from joblot.worker.output_tail import KEPT_BYTES_MAX
from joblot.worker.stream_tail import STREAMS_MAX, StreamTail


def text_stream(encoding: str = "utf-8", **how: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(_Bytes()), encoding=encoding, **how)


class _Bytes(io.RawIOBase):
    """A file in memory, as raw as that of a descriptor."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.written += data
        return len(data)


def written(stream: Any) -> bytes:
    stream.flush()
    raw: _Bytes = stream.buffer.raw
    return bytes(raw.written)


class Streams:
    """A process's streams. pytest sets its own when a test begins, so the test sets these."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
        self.set = partial(monkeypatch.setattr, sys)
        self.out = text_stream(**how)
        self.err = text_stream(errors="backslashreplace", line_buffering=True)
        self._open = ExitStack()

    @property
    def binary(self) -> Any:
        return self.out.buffer

    def begin(self) -> None:
        self.set("stdout", self.out)
        self.set("stderr", self.err)

    def open(self) -> StreamTail:
        """Begin, and copy until the end of the test."""
        self.begin()
        return self._open.enter_context(StreamTail())

    def close(self) -> None:
        self._open.close()


@pytest.fixture(params=["line", "block", "through"])
def streams(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    """Standard output is buffered as that of a terminal, as that of a file, or not at all."""
    how = {"line": {"line_buffering": True}, "block": {}, "through": {"write_through": True}}
    one = Streams(monkeypatch, **how[request.param])
    yield one
    one.close()
    assert stream_tail._calls == {}


def during(tail: StreamTail, call: Callable[[], object]) -> bytes:
    tail.begin()
    try:
        call()
        return tail.item_output()
    finally:
        tail.end()


def test_all_of_python_is_kept_in_order(streams: Streams) -> None:
    streams.begin()
    log = logging.getLogger("tests.earlier")
    log.propagate = False
    log.handlers = [logging.StreamHandler()]  # it holds the stream that was there before

    def says() -> None:
        print("printed", "\u2713")
        print("no newline", end=", ", file=sys.stderr)
        log.warning("logged")
        sys.stdout.buffer.write(b"\xff bytes\n")
        sys.stdout.writelines(["one\n", "two\n"])
        streams.out.flush()
        streams.binary.writelines([b"three\n", b"four\n"])
        streams.binary.flush()
        traceback.print_exception(ValueError("is shown"))

    with StreamTail() as tail:
        print("before")
        kept = during(tail, says)
        print("after")
    lines = "printed \u2713\nno newline, logged\n".encode() + b"\xff bytes\none\ntwo\nthree\nfour\n"
    assert kept == lines + b"ValueError: is shown\n"
    assert sorted(written(streams.out).split()) == sorted(
        b"before printed \xe2\x9c\x93 \xff bytes one two three four after".split()
    )


def test_each_call_has_its_own(streams: Streams) -> None:
    tail = streams.open()
    kept = []
    for word in ("a", "", "c"):
        print("between")
        kept.append(during(tail, partial(print, word, end="")))
    assert kept == [b"a", b"", b"c"]


def test_the_end_of_5_megabytes_is_kept_and_no_more_is_held(streams: Streams) -> None:
    tail = streams.open()
    longest = 0

    def says() -> None:
        nonlocal longest
        for n in range(50_000):
            print(f"{n:0100}")
            longest = max(longest, *map(len, stream_tail._calls.values()))
        sys.stdout.write("x" * 5_000_000)
        sys.stdout.buffer.write(array.array("i", [0] * 100_000))
        print("the end")

    kept = during(tail, says)
    assert kept.endswith(b"\0\0the end\n")
    assert len(kept) == KEPT_BYTES_MAX
    assert longest <= 3 * KEPT_BYTES_MAX
    assert len(written(streams.out)) == 50_000 * 101 + 5_000_000 + 400_000 + 8


def test_the_streams_stay_the_same_and_are_as_before_afterwards(streams: Streams) -> None:
    streams.begin()
    parts = (streams.out, streams.out.buffer, streams.err, streams.err.buffer)
    before = [dict(vars(one)) for one in parts]
    with StreamTail() as outer:
        with StreamTail() as inner:
            assert (sys.stdout, sys.stderr) == (streams.out, streams.err)
            assert during(inner, lambda: print("a")) == b"a\n"
        assert during(outer, lambda: print("b")) == b"b\n"
    assert [dict(vars(one)) for one in parts] == before


def test_a_stream_that_is_set_later_is_kept(streams: Streams) -> None:
    """As pytest, a notebook and `redirect_stdout` of the caller do."""
    tail = streams.open()
    other = io.StringIO()
    with redirect_stdout(other):
        assert during(tail, lambda: print("to the other")) == b"to the other\n"
        assert during(tail, lambda: print("x", file=streams.out)) == b"x\n"
    assert other.getvalue() == "to the other\n"
    assert "write" in vars(other)
    assert during(tail, lambda: print("back")) == b"back\n"


def test_a_call_within_a_call_has_its_own(streams: Streams) -> None:
    """As where a function works on other items itself, by a worker in its own thread."""
    tail = streams.open()

    def outer() -> None:
        print("before")
        with StreamTail() as inner:
            assert during(inner, lambda: print("a")) == b"a\n"
            assert during(inner, lambda: print("b")) == b"b\n"
        print("after")

    assert during(tail, outer) == b"before\nafter\n"


def test_what_a_function_redirects_itself_is_its_own(streams: Streams) -> None:
    tail = streams.open()

    def captures() -> None:
        with redirect_stdout(io.StringIO()):
            print("for itself")

    assert during(tail, captures) == b""


class Passing:
    """A stream of another library, which passes on what it gets; it need not be a file."""

    def __init__(self, to: Any) -> None:
        self.to = to

    def write(self, text: str, style: str = "") -> int:
        return int(self.to.write(style + text))


def test_what_a_stream_passes_on_to_another_is_kept_once(streams: Streams) -> None:
    tail = streams.open()
    streams.set("stdout", passing := Passing(streams.out))
    assert during(tail, lambda: passing.write("a", style="b")) == b"a"
    assert written(streams.out) == b"ba"


def test_a_write_that_another_library_has_set_stays(streams: Streams) -> None:
    streams.begin()
    seen: list[str] = []

    def spied(original: Any) -> Callable[[str], int]:
        def write(text: str) -> int:
            seen.append(text)
            return int(original(text))

        return write

    streams.out.write = spied(streams.out.write)  # type: ignore[method-assign]
    first = streams.out.write
    with StreamTail() as tail:
        assert during(tail, lambda: print("a", end="")) == b"a"
        streams.err.write = spied(streams.err.write)  # type: ignore[method-assign]
        second = streams.err.write
        assert during(tail, lambda: print("b", end="", file=streams.err)) == b"b"
    assert (streams.out.write, streams.err.write) == (first, second)
    print("c", end="", file=streams.err)
    assert "".join(seen) == "abc"
    assert written(streams.err) == b"bc"


class Hostile(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError("its length")


class Slots:
    """A stream that does not allow to replace its methods."""

    __slots__ = ()

    def write(self, text: str) -> int:
        return len(text)


def test_a_write_raises_what_it_raised_before_and_nothing_else(streams: Streams) -> None:
    tail = streams.open()

    def says() -> None:
        for wrong in (7, None, b"bytes", [1]):
            with pytest.raises(TypeError, match="must be str"):
                sys.stdout.write(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            sys.stdout.write()  # type: ignore[call-arg]
        sys.stdout.write(Hostile("hostile"))
        with pytest.raises(UnicodeEncodeError):
            print("\ud800", end="")

    assert b"\\ud800" in during(tail, says)
    assert b"hostile" in written(streams.out)
    streams.set("stdout", text_stream("ascii"))
    with pytest.raises(UnicodeEncodeError):
        during(tail, lambda: print("\u2713"))
    for stream in (None, object(), Slots()):
        streams.set("stdout", stream)
        assert during(tail, lambda: print("a", file=streams.err)) == b"a\n"


class Named(io.TextIOBase):
    """A stream in Python, whose `write` may be called by the name of its argument."""

    def write(self, string: str) -> int:
        return len(string)


def test_a_write_by_name_is_passed_on_and_kept(streams: Streams) -> None:
    tail = streams.open()
    streams.set("stdout", named := Named())
    assert during(tail, lambda: named.write(string="a")) == b"a"


def test_streams_that_are_closed_or_detached_do_no_harm(streams: Streams) -> None:
    tail = streams.open()
    for end in (io.TextIOWrapper.close, io.TextIOWrapper.detach):
        streams.set("stdout", stream := text_stream())
        end(stream)
        assert during(tail, lambda: print("a", file=streams.err)) == b"a\n"
        with pytest.raises(ValueError, match=r"closed|detached"):
            during(tail, lambda: print("a"))


def test_a_function_that_replaces_its_streams_in_every_call_costs_no_memory(
    streams: Streams,
) -> None:
    tail = streams.open()
    for _ in range(2 * STREAMS_MAX):
        streams.set("stdout", io.StringIO())
        during(tail, lambda: print("a"))
    assert len(stream_tail._streams._seen) == STREAMS_MAX


def in_threads(call: Callable[[Any], Any], *given: Any) -> list[Any]:
    """Call it in a thread for each of these, all at the same time; return the results."""
    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(call, given))


@pytest.mark.parametrize("shared", [False, True])
def test_each_thread_keeps_what_its_own_call_writes(streams: Streams, shared: bool) -> None:
    tail, both = streams.open(), threading.Barrier(2)

    def work(word: str) -> bytes:
        def says() -> None:
            for _ in range(100):
                both.wait(30)
                print(word)
            both.wait(30)

        with StreamTail() as own:
            return during(tail if shared else own, says)

    assert in_threads(work, "a", "b") == [b"a\n" * 100, b"b\n" * 100]


def test_an_abandoned_call_that_another_thread_ends_leaves_that_threads_own(
    streams: Streams,
) -> None:
    """As the garbage collector does, in whichever thread it runs."""
    tail = streams.open()

    def says() -> None:
        print("before")
        tail_of_others.end()
        print("after")

    with StreamTail() as tail_of_others:
        in_threads(lambda _: tail_of_others.begin(), None)
        assert during(tail, says) == b"before\nafter\n"


def test_what_other_threads_write_belongs_to_the_only_call(streams: Streams) -> None:
    tail = streams.open()

    def says(*_: object) -> None:
        in_threads(print, "of a thread")

    assert during(tail, says) == b"of a thread\n"
    assert during(tail, partial(in_threads, partial(during, tail), says)) == b""


def test_a_thread_that_ends_inside_its_call_leaves_nothing_of_it(streams: Streams) -> None:
    tail = streams.open()

    def says() -> None:
        in_threads(lambda _: tail.begin(), *range(3))
        in_threads(print, "of a thread")

    assert during(tail, says) == b"of a thread\n"


def test_threads_that_print_at_once_lose_nothing(streams: Streams) -> None:
    tail = streams.open()
    every = threading.Barrier(4)

    def lines(n: int) -> None:
        every.wait(30)
        for k in range(100):
            sys.stdout.write(f"{n}{k:02}\n")

    kept = during(tail, partial(in_threads, lines, *range(4))).decode().split()
    assert sorted(kept) == [f"{n}{k:02}" for n in range(4) for k in range(100)]


def test_a_file_is_no_slower_than_it_buffers(streams: Streams, tmp_path: Path) -> None:
    """Nothing is flushed for an item, so a file still gets blocks."""
    tail = streams.open()
    with (tmp_path / "out").open("w") as file, redirect_stdout(file):
        assert during(tail, lambda: print("a")) == b"a\n"
        assert (tmp_path / "out").stat().st_size == 0
    assert (tmp_path / "out").read_text() == "a\n"
