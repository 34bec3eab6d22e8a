"""`doctor`: lines or JSON, and an exit code that scripts can use."""

from __future__ import annotations

import json

import pytest

from TotalSegmentatorLib.cli import doctor
from TotalSegmentatorLib.environment.findings import ERROR, OK, UNKNOWN, WARNING, Finding

FINE = (Finding("disk", OK, "Enough."), Finding("driver", UNKNOWN, "Nobody knows."))
LITTLE = Finding("memory", WARNING, "Little memory.", "Use a faster speed.")
LOST = Finding("environment", ERROR, "It is lost.", "Install it.", "reinstall_engine")


@pytest.fixture
def computer(monkeypatch):
    """Let a diagnosis find this; returns with what it was called."""
    calls = []

    def set(*findings: Finding) -> list:
        def diagnose(*arguments: object, **more: object):
            calls.append((arguments, more))
            yield from findings

        monkeypatch.setattr(doctor, "diagnose", diagnose)
        return calls

    return set


def test_lines_for_people(call, computer):
    calls = computer(*FINE, LITTLE)
    answer = call("doctor")
    assert answer.code == 0
    assert [line.split()[:2] for line in answer.out.splitlines() if "->" not in line] == [
        ["ok", "disk"],
        ["unknown", "driver"],
        ["warning", "memory"],
    ]
    assert "-> Use a faster speed." in answer.out
    assert "--json" in answer.err.splitlines()[-1]
    assert calls == [((None,), {"online": True})]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_error_is_told_by_the_exit_code(call, computer, options):
    computer(*FINE, LOST, LITTLE)
    assert call("doctor", *options).code == 4


def test_json_for_programs(call, computer):
    computer(LITTLE, LOST, *FINE)
    found = json.loads(call("doctor", "--json").out)
    assert [one["check"] for one in found] == ["memory", "environment", "disk", "driver"]
    assert all({"check", "state", "message", "remedy"} <= set(one) for one in found)
    assert found[2]["remedy"] is None
    assert found[1] == {
        "check": "environment",
        "state": "error",
        "message": "It is lost.",
        "remedy": "Install it.",
        "repair": "reinstall_engine",
    }


def test_offline_and_a_named_interpreter(call, computer, tmp_path):
    calls = computer(*FINE)
    assert call("doctor", "--offline", "--engine-python", tmp_path / "python").code == 0
    assert calls == [((tmp_path / "python",), {"online": False})]


def test_this_computer_with_nothing_installed(call, tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    answer = call("doctor", "--offline", "--json")
    assert answer.code == 4  # there is no engine
    found = {one["check"]: one for one in json.loads(answer.out)}
    assert found["environment"]["state"] == "error"
    assert found["memory"]["message"]
    assert str(tmp_path) not in answer.out


@pytest.mark.slow
def test_this_computer_with_its_engine(call, engine):
    answer = call("doctor", "--offline", "--json", "--engine-python", engine.python)
    found = {one["check"]: one for one in json.loads(answer.out)}
    assert found["environment"]["state"] == found["torch"]["state"] == "ok"
    assert "TotalSegmentator 2." in found["environment"]["message"]
    assert found["packages"]["state"] in ("ok", "warning")
