"""`settings`: what is set, who may be contacted, and changes."""

from __future__ import annotations

import json

import pytest

from TotalSegmentatorLib.environment import UserSettings, load_settings
from TotalSegmentatorLib.environment.hosts import all_purposes


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))


def test_all_settings_and_all_hosts_are_shown(call):
    answer = call("settings", "show")
    assert answer.code == 0
    (row,) = (line for line in answer.out.splitlines() if "usage_statistics" in line)
    assert "off" in row
    for purpose in all_purposes():
        assert purpose.sentence in answer.out
        assert all(host in answer.out for host in purpose.hosts)


def test_json(call):
    found = json.loads(call("settings", "show", "--json").out)
    assert found["settings"] == vars(UserSettings())
    assert {"name", "hosts", "sentence"} == set(found["hosts"][0])


def test_the_switch_for_usage_statistics(call):
    assert call("settings", "set", "usage_statistics", "on").code == 0
    assert load_settings() == UserSettings(usage_statistics=True)
    assert call("settings", "set", "usage_statistics", "off").code == 0
    assert load_settings() == UserSettings()


def test_a_mirror_is_set_and_unset(call):
    answer = call("settings", "set", "package_index", "https://user:word@index.org/simple")
    assert answer.code == 0
    assert load_settings().package_index == "https://user:word@index.org/simple"
    for options in ([], ["--json"]):
        shown = call("settings", "show", *options).out
        assert "index.org/simple" in shown and "word" not in shown
    answer = call("settings", "set", "package_index", "")
    assert "default" in answer.err
    assert load_settings() == UserSettings()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["usage_statistics", "maybe"], "input.bad_setting"),
        (["torch_index", "secret"], "input.bad_setting"),
        (["images", "on"], "input.unknown_setting"),
    ],
)
def test_what_cannot_be_set(call, arguments, code):
    answer = call("settings", "set", *arguments)
    assert answer.code == 2
    assert f"[{code}]" in answer.err
    assert "secret" not in answer.err
    assert load_settings() == UserSettings()
