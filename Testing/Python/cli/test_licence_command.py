"""`licence`: the number comes from standard input or a hidden question, and is never shown."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment import licence

NUMBER = "aca_0123456789ABCD"


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path))
    return tmp_path / "config.json"


@pytest.fixture
def server(monkeypatch):
    """Lets TotalSegmentator's server say this of a number; keeps what it was asked."""
    asked = []

    def set(state: str) -> list[str]:
        monkeypatch.setattr(licence, "_ask", lambda number: asked.append(number) or state)
        return asked

    return set


@pytest.fixture
def typed(monkeypatch):
    """Let standard input hold a text."""

    def set(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return set


def stored(config: Path) -> str:
    values = json.loads(config.read_text()) if config.exists() else {}
    return values.get("license_number", "")


def test_a_number_from_standard_input_is_stored(call, config, server, typed):
    asked = server("valid")
    typed(f"{NUMBER}\nmore\n")
    answer = call("licence", "set")
    assert answer.code == 0, answer.err
    assert (stored(config), asked) == (NUMBER, [NUMBER])
    assert "aca_...CD" in answer.out and "valid" in answer.out
    assert NUMBER not in answer.out + answer.err


def test_a_number_is_asked_for_and_not_shown(call, config, server, typed, monkeypatch):
    server("valid")
    asked = {}

    def prompt(text: str, **options: object) -> str:
        asked.update(options)
        return NUMBER

    typed("")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    answer = call("licence", "set")
    assert answer.code == 0, answer.err
    assert asked["hide_input"] is True
    assert stored(config) == NUMBER


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", NUMBER],
        ["set", "--unchecked", NUMBER],
        ["set", "--number", NUMBER],
        ["set", f"--number={NUMBER}"],
        ["set", f"-{NUMBER}"],
        [NUMBER],
        [NUMBER.upper()],
        ["status", NUMBER],
        ["status", "--offline", f"--number={NUMBER}"],
        ["remove", NUMBER],
    ],
)
def test_a_number_on_the_command_line_is_refused_and_not_repeated(
    call, config, server, typed, arguments
):
    asked = server("valid")
    typed("")
    answer = call("licence", *arguments)
    assert answer.code == 2
    assert "[input.number_shown]" in answer.err
    assert NUMBER.lower() not in (answer.out + answer.err).lower()
    assert (stored(config), asked) == ("", [])


@pytest.mark.parametrize("state", ["invalid", "expired", "offline"])
def test_a_number_that_is_not_accepted_is_not_stored(call, config, server, typed, state):
    server(state)
    typed(NUMBER)
    answer = call("licence", "set")
    assert answer.code == 4
    assert f"[licence.{state}]" in answer.err
    assert ("--unchecked" in answer.err) == (state == "offline")
    assert stored(config) == ""
    assert NUMBER not in answer.out + answer.err


def test_without_internet_it_can_be_stored_unchecked(call, config, server, typed):
    asked = server("offline")
    typed(NUMBER)
    answer = call("licence", "set", "--unchecked")
    assert answer.code == 0, answer.err
    assert (stored(config), asked) == (NUMBER, [])


def test_an_empty_input_stores_nothing(call, config, server, typed):
    server("valid")
    typed("")
    answer = call("licence", "set")
    assert answer.code == 4
    assert "[licence.invalid]" in answer.err
    assert not config.exists()


def test_status_and_removal(call, config, server, typed):
    asked = server("expired")
    assert "No licence number" in call("licence", "status").out
    assert json.loads(call("licence", "status", "--json").out) == {"state": "none", "shown": ""}
    typed(NUMBER)
    call("licence", "set", "--unchecked")
    assert asked == []
    assert "expired" in call("licence", "status").out
    assert asked == [NUMBER]
    answer = call("licence", "status", "--offline", "--json")
    assert json.loads(answer.out) == {"state": "stored", "shown": "aca_...CD"}
    assert asked == [NUMBER]
    assert call("licence", "remove").code == 0
    assert stored(config) == ""
    assert call("licence", "remove").code == 0


@pytest.mark.parametrize("arguments", [[], ["--help"], ["set", "--help"]])
def test_help(call, arguments):
    answer = call("licence", *arguments)
    assert "licence" in answer.out + answer.err
    assert "[input" not in answer.err
