"""What the site takes from the code is all that is there, and a page that does not hang together is found."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from recurrio.pipeline.command.options import make_parser

ROOT = Path(__file__).parent.parent


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 (its modules, by name)
    monkeypatch.syspath_prepend(ROOT / "docs")
    return lambda name: import_module(f"made.{name}")


def test_every_option_of_every_command_is_on_the_page(made: Any) -> None:  # noqa: ANN401
    text = made("commands").commands_text()
    sections = dict(re.findall(r"^## recurrio (\S+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    commands = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert [*sections] == [*commands]
    for name, parser in commands.items():
        found = sections[name] + (sections["train"] if "those of `recurrio train`" in sections[name] else "")
        for action in parser._actions[1:]:
            for word in action.option_strings or [action.metavar]:
                assert re.search(rf"^```{{option}} .*{re.escape(word)}\b", found, re.MULTILINE), (name, word)
    assert text.count("```{option} --features") == 1
    assert "(32; for records 64; to classify 64; to translate 64; to transcribe 16)" in text
    assert "\nWatch it learn from simulated devices, be killed, and go on" in text
    assert "\nrecurrio export MODEL ONNX\n" in text
    assert "\nrecurrio train SOURCE [SOURCE …] [OPTION …]\n" in text


def test_all_that_is_exported_is_on_a_page_once(made: Any) -> None:  # noqa: ANN401
    api = made("api")
    for name in api.GROUPS:
        found = re.findall(r"^\.\. auto\w+:: (\S+)", api.api_text(name), re.MULTILINE)
        assert sorted(found) == sorted(f"{name}.{exported}" for exported in import_module(name).__all__)


def test_an_export_that_is_in_no_group_is_an_error(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    api = made("api")
    monkeypatch.setitem(api.GROUPS, "recurrio.core.functional", {"Activations": "sigmoid softmax"})
    with pytest.raises(ValueError, match=r"^recurrio.core.functional: expected each of __all__ in one of GROUPS"):
        api.api_text("recurrio.core.functional")


def test_dead_links_and_other_hosts_are_found_in_what_was_built(made: Any, tmp_path: Path) -> None:  # noqa: ANN401
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.html").write_text('<h1 id="here"></h1><a href="../index.html#top">1</a><a href="#here">2</a>')
    (tmp_path / "index.html").write_text(
        '<p id="top"><a href="a/x.html#here">1</a><a href="https://x.org/y">2</a><img src="data:image/png;base64,A">'
        '<a href="a/y.html">3</a><a href="a/x.html#there">4</a><img src="a/x.png"><a href="#bottom">5</a>'
        '<script src="https://x.org/y.js"></script><link href="//x.org/y.css"></p>'
    )
    wrong = made("links").wrong_links(tmp_path)
    assert [line.removeprefix("index.html: ") for line in wrong] == [
        "a/y.html is not there",
        "a/x.html#there is not there",
        "a/x.png is not there",
        "#bottom is not there",
        "https://x.org/y.js is on another host",
        "//x.org/y.css is on another host",
    ]
