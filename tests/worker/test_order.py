"""A worker's orders: invalid ones are reported at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from joblot.errors import InvalidInput
from joblot.worker import handlers
from joblot.worker.order import Order, url_of
from joblot.worker.token import Token

URL = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = list(handlers._declared)
    (tmp_path / "ordered_work.py").write_text(
        "from joblot.worker import work\n"
        "@work('mine', batch=3)\ndef mine(x): return x\n"
        "@work('other')\ndef other(x): return x\n"
        "def plain(x): return x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("JOBLOT_URL", "JOBLOT_TOKEN", "JOBLOT_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield

    sys.modules.pop("ordered_work", None)
    handlers._declared[:] = before


@pytest.mark.parametrize(
    ("function", "pipelines", "batch", "served"),
    [
        ("ordered_work", [], None, [("mine", 3), ("other", 1)]),
        ("ordered_work", ["other"], None, [("other", 1)]),
        ("ordered_work:mine", [], None, [("mine", 3)]),
        ("ordered_work:mine", [], 9, [("mine", 9)]),
        ("ordered_work:mine", ["a", "b"], None, [("a", 3), ("b", 3)]),
        ("ordered_work:plain", ["a", "b"], 4, [("a", 4), ("b", 4)]),
        ("ordered_work:plain", ["a"], 0, [("a", 1)]),
    ],
)
def test_what_is_served(function: str, pipelines: list[str], batch: int | None, served):
    order = Order(URL, function=function, pipelines=pipelines, batch=batch)
    assert [(one.pipeline, one.batch_items) for one in order.handlers()] == served


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Order(URL, function="ordered_work:plain"), "--pipeline"),
        (Order(URL, command="echo"), "--pipeline"),
        (
            Order(URL, function="ordered_work", pipelines=["mine", "minne"]),
            "--pipeline minne: ordered_work serves mine, other",
        ),
        (Order(URL, function="no_such_work"), "no module named"),
        (Order(URL, function="ordered_work:gone", pipelines=["p"]), "has no gone"),
        (Order(URL, command="no-such-tool", pipelines=["p"]), "on PATH"),
    ],
)
def test_what_cannot_be_served_is_told(order: Order, said: str):
    with pytest.raises(InvalidInput, match=said):
        order.handlers()


def test_a_module_that_declares_nothing_serves_nothing():
    handlers._declared.clear()
    order = Order(URL, function="json")
    with pytest.raises(InvalidInput, match="@work"):
        handlers.by_pipeline(order.handlers())


def test_each_server_has_spools_of_its_own(tmp_path: Path):
    """Results owed to one server would be rejected by another, and count as settled."""
    one, same, other = (
        Order(url, spool=str(tmp_path)).spools()
        for url in ("http://a:1", "http://a:1/", "http://a:2")
    )
    assert one == same != other
    assert one.parent == tmp_path


def test_an_order_is_the_same_after_it_was_sent():
    order = Order(
        URL, token="t", pipelines=["a"], batch=3, retry_on=["OSError"], no_retry_on=["Timeout"]
    )
    assert Order(**json.loads(json.dumps(order.as_json()))) == order


def test_where_the_server_and_the_token_come_from(tmp_path: Path, monkeypatch):
    with pytest.raises(InvalidInput, match="JOBLOT_URL"):
        url_of(None)
    monkeypatch.setenv("JOBLOT_URL", URL)
    assert (url_of(None), url_of("http://b")) == (URL, "http://b")
    assert Token.of(None).text == ""
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    monkeypatch.setenv("JOBLOT_TOKEN_FILE", str(file))
    assert Token.of(None) == Token("of-the-file", str(file))
    monkeypatch.setenv("JOBLOT_TOKEN", "of-the-environment")
    assert Token.of(None).text == "of-the-environment"
    assert Token.of("given") == Token("given")
    monkeypatch.delenv("JOBLOT_TOKEN")
    file.unlink()
    with pytest.raises(InvalidInput, match="can't be read"):
        Token.of(None)


def test_results_for_nats_are_kept_apart_and_no_password_is_in_their_folders_name() -> None:
    spools = [
        Order(url=url, nats=nats).spools().name
        for url, nats in (
            ("", "nats://user:secret@host:4222"),
            ("", "nats://host"),
            ("", "nats://other"),
            ("http://server", "nats://host"),
        )
    ]
    assert spools[0] == spools[1]
    assert len(set(spools)) == 3
    assert not any("secret" in name for name in spools)
