"""``setup`` and ``environment``: what is asked, shown and switched; nothing is installed here."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from TotalSegmentatorLib import environment
from TotalSegmentatorLib.cli.setup import question
from TotalSegmentatorLib.environment import Environments, interpreter, plan
from TotalSegmentatorLib.environment.drivers import Driver
from TotalSegmentatorLib.environment.environments import NOTE
from TotalSegmentatorLib.environment.json_files import write_values
from TotalSegmentatorLib.environment.lock import lock_version


@pytest.fixture
def known(tmp_path, monkeypatch) -> Environments:
    """Two environments of the user, the second in use, the first before."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "python"))  # no checkout
    known = Environments()
    for name in ("first", "second"):
        folder = known.root / name
        interpreter(folder).parent.mkdir(parents=True)
        interpreter(folder).touch()
        (folder / "pyvenv.cfg").touch()
        values = {"folder": str(folder), "lock": lock_version(), "versions": {"torch": "2.13"}}
        write_values(folder / NOTE, values)
        known.use(name)
    return known


def test_list(call, known):
    answer = call("environment", "list", "--json")
    rows = json.loads(answer.out)
    assert [(row["name"], row["use"], row["state"]) for row in rows] == [
        ("second", "current", "ready"),
        ("first", "previous", "ready"),
    ]
    assert "second" in call("environment", "list").out


def test_switching(call, known):
    assert call("environment", "use", "first").out == "first\n"
    assert known.current().name == "first"
    assert call("environment", "rollback").out == "second\n"
    answer = call("environment", "use", "third")
    assert answer.code == 4
    assert "[environment.unknown]" in answer.err


def test_removal_is_asked_for(call, known):
    assert call("environment", "remove", "second").code == 4  # nobody can answer
    assert len(known.all()) == 2
    assert call("environment", "remove", "second", "--yes").code == 0
    assert [one.name for one in known.all()] == ["first"]


def test_info(call, known):
    assert "torch 2.13" in call("environment", "info").out
    assert "Environment: first" in call("environment", "info", "first").out
    for name in ("first", "second"):
        known.remove(name)
    answer = call("environment", "info")
    assert (answer.code, "[environment.missing]" in answer.err) == (4, True)


def test_checks_alone(call, known, tmp_path):
    answer = call("setup", "--check", "--json", "--folder", tmp_path / "engine")
    assert answer.code == 0
    findings = json.loads(answer.out)
    assert {"disk", "interpreter", "network"} <= {one["check"] for one in findings}
    assert not (tmp_path / "engine").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").touch()
    assert call("setup", "--check", "--folder", tmp_path / "thesis").code == 4


def test_setup_asks_before_it_installs(call, known, tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "install", lambda *_, **__: pytest.fail("it installs"))
    answer = call("setup", "--folder", tmp_path / "engine")
    assert answer.code == 4
    assert "[environment.declined]" in answer.err


def test_setup_asks_before_it_changes_the_build(call, known, tmp_path, monkeypatch):
    """The folder holds the locked packages, with the PyTorch of another build."""
    folder = tmp_path / "engine"
    known.root.joinpath("first").rename(folder)
    values = {"folder": str(folder), "lock": lock_version(), "build": "cuda1"}
    write_values(folder / NOTE, {**values, "development": False})
    monkeypatch.setattr(environment, "install", lambda *_, **__: pytest.fail("it installs"))
    answer = call("setup", "--folder", folder, "--build", "cpu")
    assert "[environment.declined]" in answer.err


def test_the_question_says_what_how_much_and_where(tmp_path):
    found = plan("cpu", data=tmp_path, driver=Driver("none"))
    text = question(found)
    for part in (found.build.title, "2.18.0", f"{found.download_mb} MB", str(found.folder), "GB"):
        assert part in text
    assert found.unchecked in text


def test_the_question_says_what_is_not_checked(tmp_path):
    found = plan("cpu", data=tmp_path, driver=Driver("none"))
    build = replace(found.build, kind="nvidia", index="https://torch.example")
    found = replace(found, build=build)
    assert "PyTorch" in found.unchecked and question(found).endswith(found.unchecked)


def test_unknown_build_is_told(call, known):
    answer = call("setup", "--build", "cuda1")
    assert answer.code == 4
    assert "[environment.unknown_build]" in answer.err
