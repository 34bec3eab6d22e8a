"""Which environments there are, which one is used, and what is told of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib import environment
from TotalSegmentatorLib.environment import Environments, environments, interpreter, json_files
from TotalSegmentatorLib.environment.environments import (
    NOTE,
    alone,
    fixed_folder,
    is_whole,
    may_replace,
    put_right,
    python_of,
)
from TotalSegmentatorLib.environment.json_files import read_values, write_values
from TotalSegmentatorLib.environment.lock import lock_version
from TotalSegmentatorLib.errors import SetupError


def make(known: Environments, name: str, **more: object) -> Path:
    """An environment of the packages that are locked now."""
    folder = known.root / name
    interpreter(folder).parent.mkdir(parents=True)
    interpreter(folder).touch()
    home = Path(sys.executable).parent
    (folder / "pyvenv.cfg").write_text(f"home = {home}\nversion_info = 3.12.1\n")
    values = {"folder": str(folder), "lock": lock_version(), "build": "cpu", **more}
    write_values(folder / NOTE, {"versions": {"torch": "2.13.0"}, **values})
    return folder


@pytest.fixture
def known(tmp_path, monkeypatch) -> Environments:
    """The user's environments, of which there are none yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "python"))  # no checkout
    return Environments()


def test_nothing_is_there(known):
    assert known.all() == ()
    assert known.current() is None
    assert known.previous() is None
    folder = environment.default_folder()
    assert not environment.is_ready(folder) and not folder.exists()
    assert environment.installed_versions(folder) == {}
    with pytest.raises(SetupError) as caught:
        known.use("any")
    assert caught.value.remedy == "There are: none."


def test_the_one_in_use_is_the_engine(known):
    first, second = make(known, "first"), make(known, "second")
    known.use("second")
    assert environment.default_folder() == second
    assert environment.find_engine().python == interpreter(second)
    assert environment.installed_versions(second) == {"torch": "2.13.0"}
    assert [one.name for one in known.all()] == ["second", "first"]
    known.use("first")
    assert environment.find_engine().python == interpreter(first)
    assert known.previous().name == "second"


def test_use_of_the_one_in_use_keeps_the_way_back(known):
    make(known, "first"), make(known, "second")
    known.use("first")
    known.use("second")
    known.use("second")
    assert known.previous().name == "first"


def test_other_packages_are_out_of_date_unless_chosen(known):
    folder = make(known, "older", lock="00000000")
    assert known.current() is None
    assert [one.state for one in known.all()] == ["outdated"]
    assert not environment.is_ready(folder)
    known.use("older")
    assert environment.is_ready(folder)
    assert environment.default_folder() == folder
    values = read_values(known.root / "current.json")
    write_values(known.root / "current.json", {**values, "lock": "another version's"})
    assert not environment.is_ready(folder)
    with pytest.raises(SetupError) as caught:
        environment.find_engine()
    assert "out of date" in caught.value.message


def test_moved_or_half_made_ones_are_broken(known):
    folder = make(known, "one")
    moved = folder.rename(folder.with_name("moved"))
    assert not is_whole(moved)
    half = make(known, "half")
    (half / NOTE).unlink()
    assert {one.name: one.state for one in known.all()} == {"moved": "broken", "half": "broken"}
    assert known.current() is None


def test_what_installations_leave_is_no_environment(known):
    make(known, "one")
    make(known, "one.new~01ab", folder=str(known.root / "one"))
    make(known, "one.old~01ab")
    (known.root / "notes").mkdir()
    (known.root / "one.lock").write_text("")
    assert [one.name for one in known.all()] == ["one"]


def test_removing_the_one_in_use(known):
    folder = make(known, "one")
    make(known, "two")
    downloads = known.root.parent / "downloads"
    downloads.mkdir()
    known.use("one")
    known.remove("one")
    assert not folder.exists() and downloads.exists()
    assert [path.name for path in known.root.iterdir() if path.is_dir()] == ["two"]
    assert known.current().name == "two"
    known.remove("two")
    assert not downloads.exists()


def test_information_for_a_forum(known):
    folder = make(known, "one", source="the package index (PyPI)", installer="uv 1", made="then")
    with open(folder / "big", "wb") as file:
        file.truncate(200_000_000)
    text = known.information("one")
    assert "torch 2.13.0" in text
    assert "Size: 0.2 GB" in text
    assert "then by uv 1" in text
    assert str(Path.home()) not in text  # it holds the user's name


def test_note_that_says_nonsense(known):
    folder = make(known, "one")
    for content in ("", "[1]", '{"folder": 5, "versions": "many"}'):
        (folder / NOTE).write_text(content)
        assert known.all()[0].state == "broken"
        assert environment.installed_versions(folder) == {}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("version = 3.11.7\n", "3.11"),
        ("uv = 0.8\nversion_info = 3.13.0\n", "3.13"),
        ("home = x\n", ""),
    ],
)
def test_python_of_an_environment(tmp_path, text, version):
    (tmp_path / "pyvenv.cfg").write_text(text)
    assert python_of(tmp_path) == version
    assert python_of(tmp_path / "none") == ""


def test_without_the_python_below_it_is_broken(known, tmp_path):
    folder, home = make(known, "one"), tmp_path / "python3.12"
    home.mkdir()
    (folder / "pyvenv.cfg").write_text(f"home = {home}\n")
    assert is_whole(folder)
    home.rmdir()
    assert known.all()[0].state == "broken"
    assert known.current() is None


def test_what_is_used_when_the_one_in_use_is_lost(known):
    make(known, "a-dev", development=True)
    assert known.current() is None  # nobody has tested it
    for name in ("b", "c", "d"):
        make(known, name)
        known.use(name)
    (known.root / "d" / NOTE).unlink()
    assert known.current().name == "c"


# What may be removed


def test_only_our_own_folders_may_be_replaced(known, tmp_path, monkeypatch):
    foreign = tmp_path / "my-env"
    foreign.mkdir()
    (foreign / "pyvenv.cfg").write_text("home = /usr\n")
    assert not may_replace(foreign)
    write_values(foreign / NOTE, {"folder": str(foreign), "digest": "of a checkout's .venv"})
    assert not may_replace(foreign)
    own = make(Environments(tmp_path / "elsewhere"), "own")
    assert may_replace(own)
    assert not may_replace(own.rename(tmp_path / "moved"))
    assert may_replace(known.root / "damaged")  # nobody else puts anything there
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert may_replace(fixed_folder())
    monkeypatch.setattr(environments, "import_folder", lambda: tmp_path / "a" / "TotalSegmentator")
    assert may_replace(tmp_path / "a" / ".venv-engine")  # as Tools/bootstrap.py makes it


def test_killed_inside_remove(known, monkeypatch):
    """What is left is not whole, and must not come back as if it were."""
    make(known, "one")
    known.use(make(known, "two").name)

    def kill(folder, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environments.shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            known.remove("one")
    assert [path.name for path in known.root.glob("one.old*")]
    known.put_right()
    assert not list(known.root.glob("one.old*"))
    assert [one.name for one in known.all()] == ["two"]


@pytest.mark.parametrize("name", ["engine", "engine[1]"])
def test_rests_are_told_from_what_belongs_to_others(tmp_path, name):
    others = (
        "engine.old-202411",
        "engine.new-abcdef",
        "engine.gpu.new~abcd",
        "engine.old~2024 mine",
    )
    rests = (f"{name}.new~12ab", f"{name}.old~00ff")
    for one in (*others, *rests):
        (tmp_path / one).mkdir()
        (tmp_path / one / "pyvenv.cfg").touch()
    put_right(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(others)


def test_rests_of_all_environments_go_but_not_those_in_work(known):
    for name in ("one.new~12ab", "two.new~12ab", "two.old~12ab"):
        (known.root / name).mkdir(parents=True)
    with alone(known.root / "one"):
        known.put_right()
    assert [path.name for path in known.root.iterdir() if path.is_dir()] == ["one.new~12ab"]


def test_nothing_is_removed_under_an_installation(known):
    folder = make(known, "one")
    downloads = known.root.parent / "downloads"
    downloads.mkdir()
    with alone(folder), pytest.raises(SetupError) as caught:
        known.remove("one")
    assert caught.value.code == "environment.busy"
    assert is_whole(folder)
    with alone(known.root / "another"):
        known.remove("one")
    assert downloads.exists()


# Renaming


def held(times: int, winerror: int = 32):
    """os.replace as on Windows, where another program has a file open for a while."""
    real, calls = os.replace, []

    def replace(source, target):
        calls.append(source)
        if len(calls) <= times:
            error = PermissionError(13, "Access is denied")
            error.winerror = winerror
            raise error
        real(source, target)

    return replace


@pytest.mark.parametrize("winerror", [5, 32])
def test_a_file_that_is_held_for_a_while(tmp_path, monkeypatch, winerror):
    monkeypatch.setattr(json_files.time, "sleep", lambda _: None)
    monkeypatch.setattr(json_files.os, "replace", held(3, winerror))
    write_values(tmp_path / "settings.json", {"a": 1})
    assert read_values(tmp_path / "settings.json") == {"a": 1}


def test_a_file_that_is_held_for_ever(tmp_path, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(json_files.time, "sleep", lambda _: None)
    monkeypatch.setattr(json_files.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(json_files.os, "replace", held(1000))
    with pytest.raises(SetupError) as caught:
        write_values(tmp_path / "settings.json", {"a": 1})
    assert caught.value.code == "disk.not_writable"
    assert next(clock) < 20
