"""A plain command as the work on an item."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import InvalidInput
from joblot.wire import ClaimedItem, Result
from joblot.worker.command import Command
from tests.polling import eventually
from tests.proc import alive


def _run(text: str, payload: Any = None, *, key: str = "k", seconds_max: float = 30.0) -> Result:
    item = ClaimedItem(7, key, payload, {"before": [1]}, 2)
    ((result,),) = Command.parsed(text, seconds_max).work()([item])
    return result


def _cause(result: Result) -> tuple[str, str]:
    assert result.error is not None
    return result.error.type, result.error.message


def _python(code: str, *words: str) -> str:
    return shlex.join([sys.executable, "-c", code, *words])


@pytest.mark.parametrize(
    ("word", "filled"),
    [
        ("{path}", "a b"),
        ("--in={path}", "--in=a b"),
        ("{image.size}", "[3, 4]"),
        ("{flag}", "true"),
        ("{key}/{id}/{attempt}", "k/7/2"),
        ("{input.before}", "[1]"),
        ("{payload.key}", "own"),
        ("{}", '{"path": "a b", "image": {"size": [3, 4]}, "flag": true, "key": "own"}'),
        ("{{path}}", "{path}"),
        ("'{path} {path}'", "a b a b"),
    ],
)
def test_placeholders_are_filled_from_the_item_one_word_staying_one(word: str, filled: str):
    payload = {"path": "a b", "image": {"size": [3, 4]}, "flag": True, "key": "own"}
    result = _run(f"{sys.executable} -c 'import sys; print(sys.argv[1:])' {word}", payload)
    assert result.output == str([filled])


@pytest.mark.parametrize(
    ("word", "filled"),
    [
        ("{path}", "in put/a b.tar.gz"),
        ("{}", "in put/a b.tar.gz"),
        ("{folder}/{stem}.png", "in put/a b.tar.png"),
        ("{name}", "a b.tar.gz"),
    ],
)
@pytest.mark.parametrize("payload", [None, "in put/a b.tar.gz"])
def test_an_item_that_is_text_is_a_path_with_parts(word: str, filled: str, payload: str | None):
    key = "in put/a b.tar.gz" if payload is None else "k"
    assert _run(_python("import sys; print(sys.argv[1])", word), payload, key=key).output == filled


def test_nothing_in_a_payload_is_interpreted(tmp_path: Path):
    evil = f"$(touch {tmp_path}/x); `touch {tmp_path}/x` {{key}} 'a' \" | *"
    result = _run(_python("import sys; print(sys.argv[1])", "{payload}"), evil)
    assert result.output == evil
    assert list(tmp_path.iterdir()) == []


def test_without_a_payload_there_is_the_key():
    assert _run("echo {payload}", None, key="photo").output == "photo"


@pytest.mark.parametrize(
    ("printed", "output"),
    [('{"a": 1}', {"a": 1}), ("12", 12), ("hello\n", "hello"), ("", None), ("NaN", "NaN")],
)
def test_what_it_writes_is_the_output_as_json_if_it_is_some(printed: str, output: Any):
    assert _run("printf {text}", {"text": printed}).output == output


def test_any_other_exit_code_fails_the_item_with_the_end_of_what_it_said():
    code = "import sys; sys.stderr.write('x' * 10_000 + 'no such photo'); sys.exit(3)"
    result = _run(_python(code))
    kind, message = _cause(result)
    assert (kind, result.retryable) == ("ExitCode", False)
    assert message.startswith("exit code 3: xx")
    assert message.endswith(("no such photo", "…"))
    assert len(message) <= 4_000


def test_75_asks_to_be_tried_again():
    result = _run(_python("import sys; sys.exit(75)"))
    assert result.retryable
    assert "exit code 75" in _cause(result)[1]


def test_a_signal_is_a_failure_with_its_number():
    result = _run(_python("import os; os.kill(os.getpid(), 9)"))
    assert _cause(result) == ("ExitCode", "ended by signal 9")


def test_what_takes_too_long_is_killed_with_all_it_started(tmp_path: Path):
    pid = tmp_path / "pid"
    code = f"sleep 600 & echo $! > {pid}; echo begun >&2; wait"
    result = _run(shlex.join(["sh", "-c", code]), seconds_max=2)  # starting may take a while
    assert _cause(result) == ("TimeoutError", "killed after 2 s: begun")
    assert result.retryable
    eventually(lambda: not alive(int(pid.read_text())))


def test_a_field_that_is_missing_fails_the_item_and_says_what_there_is():
    kind, message = _cause(_run("echo {path}", {"url": "x", "size": 3}))
    assert kind == "PermanentError"
    assert message == "{path}: expected 'path' in url, size"


@pytest.mark.parametrize("payload", ["\x00", "x" * 3_000_000])
def test_what_no_command_can_be_given_fails_the_item(payload: str):
    assert not _run("echo {payload}", payload).retryable


def test_a_program_of_that_name_that_we_may_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is in an earlier folder on PATH: the error is about the right program, not about it."""
    (tmp_path / "echo").touch(0o600)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert _run("echo {payload}", "moth").output == "moth"
    result = _run("echo {payload}", "x" * 3_000_000)
    assert (result.retryable, "Argument list too long" in _cause(result)[1]) == (False, True)


def test_output_that_is_no_text_fails_nothing():
    assert _run(_python("import os; os.write(1, bytes([255, 65]))")).output == "\ufffdA"


def test_it_gets_no_standard_input():
    assert _run("cat").output is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a program"),
        ("{path} x", "no payload may choose"),
        ("echo 'x", "No closing quotation"),
        ("echo {", "doubled"),
        ("echo {path!r}", "plain placeholder"),
        ("echo {path:>10}", "plain placeholder"),
        ("echo {a..b}", "plain placeholder"),
        ("no-such-program-here {path}", "no program"),
    ],
)
def test_a_command_that_cannot_work_is_reported_at_once(text: str, said: str):
    with pytest.raises(InvalidInput, match=said):
        Command.parsed(text, 1.0)


def test_a_program_that_is_gone_meanwhile_is_waited_for(tmp_path: Path):
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho {}\n")
    program.chmod(0o700)
    command = Command.parsed(str(program), 10.0)
    program.unlink()
    ((result,),) = command.work()([ClaimedItem(0, "k", None, None, 1)])
    assert result.retryable
    assert "can't be started" in _cause(result)[1]
