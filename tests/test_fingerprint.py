"""Fingerprints of failures: the same cause has one, different causes have different ones."""

from __future__ import annotations

import time
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joblot.fingerprint import cause_of, is_cause, normalized

# Each line: messages of one cause.
CAUSES = {
    "a missing file": (
        "[Errno 2] No such file or directory: '/data/night 12/img_0001.tif'",
        "[Errno 2] No such file or directory: '/mnt/x/b.png'",
        '[Errno 2] No such file or directory: "/data/it\'s.tif"',
    ),
    "an unreadable file": (
        "cannot identify image file '/data/a/0001.jpg'",
        "cannot identify image file 'b.jpg'",
    ),
    "an object": (
        "cannot identify image file <_io.BytesIO object at 0x7f31c0a5d4e0>",
        "cannot identify image file <_io.BytesIO object at 0x10c2>",
    ),
    "an index": ("list index out of range",),
    "a key": ("'x'", "'night_12'", '"it\'s"'),
    "an axis": (
        "index 12 is out of bounds for axis 0 with size 10",
        "index 4096 is out of bounds for axis 1 with size 4096",
    ),
    "shapes": (
        "shapes (3,4) and (5,6) not aligned: 4 (dim 1) != 5 (dim 0)",
        "shapes (30,41,7) and (5,6) not aligned: 7 (dim 2) != 5 (dim 0)",
    ),
    "memory": (
        "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.93 GiB total capacity)",
        "CUDA out of memory. Tried to allocate 512.00 GiB (GPU 3; 15.90 GiB total capacity)",
    ),
    "a status": (
        "503 Server Error: Service Unavailable for url: https://host.org/a/1?b=2",
        "503 Server Error: Service Unavailable for url: http://10.0.0.7:8080/tiles/17/4.png",
    ),
    "a connection": (
        "HTTPSConnectionPool(host='a.example.org', port=443): Read timed out. (read timeout=5)",
        "HTTPSConnectionPool(host='b.example.org', port=8443): Read timed out. (read timeout=30.5)",
    ),
    "a byte": (
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        "'utf-8' codec can't decode byte 0xe9 in position 1234: invalid start byte",
    ),
    "another byte": (
        "'utf-8' codec can't decode byte 0xc3 in position 7: unexpected end of data",
        "'utf-8' codec can't decode byte 0xe2 in position 812: unexpected end of data",
    ),
    "columns": ("['a'] not in index", "['b', 'c'] not in index", "['b', 'c', 'd'] not in index"),
    "a UUID": (
        "no such scan: 9f1c7a52-6f0e-4f1d-9c55-0c7f4f0b1a2d",
        "no such scan: 00000000-0000-0000-0000-000000000000",
    ),
    "a hash": ("object 0f9e8d7c6b is missing", "object a1b2c3d4e5f60718 is missing"),
    "a date": (
        "no calibration for 2026-11-24 12:04:31",
        "no calibration for 2025-01-02 00:00:00",
    ),
    "an exit code": (
        "exit code 3: convert: no images defined `/tmp/a.png' @ error/convert.c/Convert/3234.",
        "exit code 3: convert: no images defined `b.png' @ error/convert.c/Convert/3234.",
    ),
    "a lost item": (
        "5 leases of this item alone expired; the last: its worker died (signal 9)",
        "3 leases of this item alone expired; the last: its worker died (signal 11)",
    ),
    "layout": ("it failed twice", "it  failed\n\ttwice", " it failed twice "),
    "Windows": ("C:\\scans\\1.tif is locked", "D:\\other\\deep\\2.tif is locked"),
    "typographic quotes": (
        "the column \u201cx\u201d is unknown",
        "the column \u201clongitude\u201d is unknown",
    ),
    "an apostrophe": ("the worker's disk isn't writable",),
    "another apostrophe": ("the worker's network isn't writable",),
    "a word of hex letters": ("the facade decade is bad",),
    "another such word": ("the decade facade is bad",),
    "nothing": ("", "  "),
}


@pytest.mark.parametrize("messages", CAUSES.values(), ids=CAUSES)
def test_failures_of_one_cause_have_one_fingerprint(messages: tuple[str, ...]) -> None:
    assert len({cause_of("E", message) for message in messages}) == 1


def test_failures_of_different_causes_have_different_ones() -> None:
    for (one, first), (other, second) in combinations(CAUSES.items(), 2):
        assert cause_of("E", first[0]) != cause_of("E", second[0]), (one, other)


def test_the_type_is_part_of_the_cause() -> None:
    assert cause_of("OSError", "x") != cause_of("ValueError", "x")


def test_a_fingerprint_does_not_change_between_versions() -> None:
    """Stored fingerprints are compared with new ones, so this value must stay."""
    assert cause_of("OSError", "No such file: '/a/1.jpg'") == "79e0888ba2688bf9"


@given(st.text(), st.text())
def test_any_text_has_a_fingerprint(error_type: str, message: str) -> None:
    assert is_cause(cause_of(error_type, message))


@pytest.mark.parametrize("text", ["", "79e0888ba2688bf", "79E0888BA2688BF9", "79e0888ba2688bf9\n"])
def test_other_text_is_no_fingerprint(text: str) -> None:
    assert not is_cause(text)


@pytest.mark.parametrize(
    "unit",
    ["'", '"\\', "a/", "a", "0", "a-", "-", "::/", "'a ", "abcdef", "\u201c", "/", "0-", "e+"],
)
def test_a_hostile_message_takes_linear_time(unit: str) -> None:
    """The best time of some is measured, of this thread, because the machine may be busy."""
    message = unit * (10_000 // len(unit))
    took = []
    for _ in range(5):
        began = time.thread_time()
        normalized(message)
        took.append(time.thread_time() - began)
    assert min(took) < 0.02
