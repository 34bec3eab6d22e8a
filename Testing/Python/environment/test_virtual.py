"""Making an environment: whole or not at all, and what was there before comes back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment import Observer, interpreter
from TotalSegmentatorLib.environment.paths import import_folder
from TotalSegmentatorLib.environment.virtual import MARKER, Recipe, Step, is_ready, make, marker
from TotalSegmentatorLib.errors import CancelledError, SetupError
from TotalSegmentatorLib.jobs.workspace import try_lock

CHECK = "print('[1, 2]')"


def recipe(*steps: Step, check: str = CHECK, needed_gb: float = 0.05) -> Recipe:
    return Recipe(steps, check, needed_gb)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment that is ready."""
    folder = tmp_path / "ünï code" / "engine"
    assert make(folder, recipe()) == [1, 2]
    return folder


def test_ready_environment_is_used_again(environment):
    touched = (environment / MARKER).stat().st_mtime_ns
    steps: list[str] = []
    observer = Observer(on_step=lambda share, text: steps.append(text))
    assert make(environment, recipe(), observer=observer) == [1, 2]
    assert steps == []
    assert (environment / MARKER).stat().st_mtime_ns == touched
    assert interpreter(environment).exists()


def failing_install(tmp_path: Path) -> Recipe:
    arguments = ["--no-index", "--find-links", str(tmp_path), "no-such-package"]
    return recipe(Step("Installing nothing", arguments))


@pytest.mark.parametrize(
    "failure",
    [
        "install",
        pytest.param("check", marks=pytest.mark.slow),
        pytest.param("cancel", marks=pytest.mark.slow),
    ],
)
def test_failure_brings_the_former_environment_back(environment, failure, tmp_path):
    before = marker(environment)
    if failure == "install":
        broken, expected = failing_install(tmp_path), "environment.install_failed"
    else:
        broken, expected = recipe(check="raise SystemExit(3)"), "environment.check_failed"
    observer = Observer(cancelled=lambda: failure == "cancel")
    with pytest.raises((SetupError, CancelledError)) as caught:
        make(environment, broken, observer=observer)
    assert caught.value.code == ("cancelled" if failure == "cancel" else expected)
    assert "\n" not in caught.value.message
    assert marker(environment) == before
    assert {path.name for path in environment.parent.iterdir()} == {"engine", "engine.lock"}


def test_failure_leaves_nothing(tmp_path):
    folder = tmp_path / "engine"
    with pytest.raises(SetupError) as caught:
        make(folder, failing_install(tmp_path))
    assert caught.value.remedy
    assert "no-such-package" in caught.value.details
    assert not folder.exists()


def test_half_made_environment_is_not_used(environment):
    (environment / MARKER).unlink()  # as if the computer had been switched off
    assert marker(environment) == {}
    assert make(environment, recipe()) == [1, 2]
    assert marker(environment)


def test_folder_of_somebody_else_is_left_alone(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.txt").write_text("years of work")
    with pytest.raises(SetupError) as caught:
        make(folder, recipe())
    assert caught.value.code == "environment.not_ours"
    assert (folder / "chapter1.txt").read_text() == "years of work"


def test_two_at_once_do_not_disturb_each_other(tmp_path):
    folder = tmp_path / "engine"
    with open(tmp_path / "engine.lock", "w+b") as file:
        assert try_lock(file)
        with pytest.raises(SetupError) as caught:
            make(folder, recipe())
    assert caught.value.code == "environment.busy"
    assert make(folder, recipe()) == [1, 2]


@pytest.mark.slow
def test_moved_environment_is_made_anew(environment):
    moved = environment.with_name("moved")
    environment.rename(moved)
    assert not is_ready(moved, recipe())
    assert make(moved, recipe()) == [1, 2]


def test_noise_after_the_answer_of_the_check(tmp_path):
    check = CHECK + "; print('a library says good-bye')"
    assert make(tmp_path / "engine", recipe(check=check)) == [1, 2]


def test_full_disk_is_known_before_the_start(tmp_path):
    with pytest.raises(SetupError) as caught:
        make(tmp_path / "engine", recipe(needed_gb=1e6))
    assert caught.value.code == "disk.full"
    assert list(tmp_path.iterdir()) == []


def test_unusable_interpreter_is_one_sentence(tmp_path):
    with pytest.raises(SetupError) as caught:
        make(tmp_path / "engine", recipe(), base=tmp_path / "python")
    assert caught.value.code == "environment.no_interpreter"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script as interpreter")
def test_old_python_is_refused(tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho 3 8\n")
    old.chmod(0o755)
    with pytest.raises(SetupError) as caught:
        make(tmp_path / "engine", recipe(), base=old)
    assert caught.value.code == "environment.python_version"
    assert "3.8" in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script as interpreter")
def test_no_step_works_in_a_folder_that_others_may_write_to(tmp_path, monkeypatch):
    """``python -m`` imports from where it is started."""
    base, log = tmp_path / "bin" / "python", tmp_path / "folders"
    base.parent.mkdir()
    base.write_text(f'#!/bin/sh\npwd >> {log}\n[ "$1" = -c ] && echo 3 12\n')
    base.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SetupError) as caught:
        make(Path("engine"), recipe(), base=Path("bin/python"))
    assert caught.value.code == "environment.venv_failed"
    assert log.read_text().splitlines() == [str(import_folder())] * 2
