"""A second module of the same name is found, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from TotalSegmentatorLib.environment import duplicates
from TotalSegmentatorLib.environment.duplicates import other_modules

NAME = "TotalSegmentator.py"
MODULE_TEXT = "from slicer.ScriptedLoadableModule import *\n"


def make(folder: Path, text: str = MODULE_TEXT, name: str = NAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return make(tmp_path / "own")


def test_the_former_extension_is_found(own: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "Slicer Extensions" / "qt-scripted-modules")
    folders = [str(tmp_path / "empty"), str(own.parent), str(other.parent)]
    assert other_modules(own, folders) == (other.resolve(),)


def test_alone_is_alone(own: Path) -> None:
    assert other_modules(own, [own.parent, str(own.parent) + "/", own.parent / ".." / "own"]) == ()


def test_a_link_to_our_own_is_no_other(own: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(own.parent)
    make(tmp_path / "file").unlink()
    (tmp_path / "file" / NAME).symlink_to(own)
    linked_own = tmp_path / "linked" / NAME
    for ours in (own, linked_own):
        assert other_modules(ours, [tmp_path / "linked", tmp_path / "file", own.parent]) == ()


def test_each_other_is_told_once_in_the_order_of_the_folders(own: Path, tmp_path: Path) -> None:
    first, second = make(tmp_path / "b"), make(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "b")
    folders = [first.parent, second.parent, tmp_path / "c", first.parent]
    assert other_modules(own, folders) == (first.resolve(), second.resolve())


def test_the_python_package_is_no_module(own: Path, tmp_path: Path) -> None:
    make(tmp_path / "site" / "totalsegmentator", "", "__init__.py")
    script = make(tmp_path / "site" / "bin", "from totalsegmentator.python_api import main\n")
    lower = make(tmp_path / "lower", name="totalsegmentator.py")
    folders = [tmp_path / "site", script.parent, lower.parent]
    assert other_modules(own, folders) == ()


def test_the_spelling_counts_on_disks_that_do_not_tell_capitals(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a disk gives the file under any spelling, but lists the one it was made with."""
    folder = make(tmp_path / "lower").parent
    monkeypatch.setattr(duplicates.os, "listdir", lambda folder: [NAME.lower()])
    assert other_modules(own, [folder]) == ()


def test_what_is_no_folder_is_passed_over(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make(tmp_path, "", "python312.zip")
    (tmp_path / "odd" / NAME).mkdir(parents=True)
    monkeypatch.chdir(make(tmp_path / "current").parent)  # sys.path may hold an empty name
    assert other_modules(own, ["", archive, tmp_path / "missing", tmp_path / "odd"]) == ()
