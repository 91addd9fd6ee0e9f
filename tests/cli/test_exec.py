"""`joblot run --exec` and `:::`: a command for files, lines or plain words."""

from __future__ import annotations

import json

import pytest

from joblot.cli.source import Source
from joblot.errors import InvalidInput
from tests.cli.conftest import Joblot


def test_a_command_is_run_for_each_word_and_repeated_with_what_is_mended(joblot: Joblot):
    """Without a shell: a word may contain anything. Then the failed one is repeated."""
    joblot.write("there", "")
    command = 'sh -c \'test -e "$1" && echo "$2 $1"\' sh {folder}/{name} {stem}'
    given = ["./there", "./not there; touch evil"]
    run = ["run", "--exec", command, "--workers", "1", "--out", "out", ":::", *given]
    done = joblot(*run, expect=1)
    assert "sh 2 of 2 (1 failed)" in done.stderr
    assert "1 item (100 %): ExitCode: exit code 1" in done.stderr
    assert "repeat what failed: joblot run --resume 1 --retry-failed --out out" in done.stderr
    assert not (joblot.folder / "evil").exists()
    joblot.write(given[1], "")
    joblot("run", "--resume", "1", "--retry-failed", "--out", "out")
    assert [json.loads(line) for line in joblot.lines("out")] == [
        {"key": given[0], "output": "there ./there"},
        {"key": given[1], "output": "not there; touch evil ./not there; touch evil"},
    ]
    (job,) = joblot.json("jobs")
    assert (job["name"], job["stages"][0]["name"], job["run"]) == (command, "sh", 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--exec", "no-such-program {}", ":::", "a"], "no program 'no-such-program'"),
        (["run", "--exec", "true", "--batch", "3", ":::", "a"], "a command takes one item"),
        (["run", "work:upper", "--retry-failed", ":::", "a"], "expected --resume JOB"),
    ],
)
def test_what_does_not_fit_is_refused_before_there_is_a_job(
    joblot: Joblot, words: list[str], said: str
):
    done = joblot(*words, expect=2)
    assert said in done.stderr
    assert joblot.json("jobs") == []


def test_words_are_items_as_they_are():
    given = ["a", "no file", "*", "é", "x" * 2_000]
    source = Source.of([":::", *given], None, None, null=False, skip_bad=False)
    source.check(needed=True)
    entries = list(source.entries())
    assert entries[:4] == given[:4]
    assert isinstance(entries[4], dict)
    assert entries[4]["payload"] == given[4]
    assert source.arguments() == "::: WORDS…"


@pytest.mark.parametrize("arguments", [[":::"], [":::", "a", ":::", "b"], ["file", ":::", "a"]])
def test_words_come_once_and_alone(arguments: list[str]):
    with pytest.raises(InvalidInput, match=":::"):
        Source.of(arguments, None, None, null=False, skip_bad=False).check(needed=True)
