"""What is looked at before an installation, and what is said of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from TotalSegmentatorLib.environment import (
    Environments,
    UserSettings,
    checks,
    connection,
    installation,
    paths,
    places,
)
from TotalSegmentatorLib.environment.drivers import Driver
from TotalSegmentatorLib.environment.findings import ERROR, OK, WARNING, Finding
from TotalSegmentatorLib.environment.hosts import hosts
from TotalSegmentatorLib.environment.places import Room, engine_place, look_at
from TotalSegmentatorLib.environment.torch_builds import builds
from TotalSegmentatorLib.errors import SetupError

OTHER = "choose another folder"


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """No host answers; these were asked."""
    found: list[str] = []

    def ask(address: str, timeout_s: float) -> bytes:
        found.append(address)
        raise SetupError("network.proxy", "No.", "Check the proxy.")

    monkeypatch.setattr(connection, "ask", ask)
    return found


def check_all(folder: Path, disk_gb: float = 0.1) -> dict[str, Finding]:
    found = checks.check_all(folder, disk_gb, None, None, None)
    return {one.check: one for one in found}


def code_of(folder: Path, disk_gb: float = 0.1) -> str:
    with pytest.raises(SetupError) as caught:
        checks.stop_at_errors(check_all(folder, disk_gb).values())
    return caught.value.code


def test_all_checks(tmp_path, asked):
    plan = installation.plan(
        folder=tmp_path / "engine", driver=Driver("none"), settings=UserSettings()
    )
    found = installation.check(plan)
    assert [one.check for one in found] == [
        "folder",
        "folder.engine",
        "disk",
        "memory",
        "interpreter",
        "network",
    ]
    assert found[-1].state == WARNING  # what is at hand may do
    assert asked == [f"https://{hosts('packages')[0]}/"]
    assert len(installation.check(plan, online=False)) == len(found) - 1
    assert len(asked) == 1
    assert all(one.message.endswith(".") for one in found)
    assert all(one.remedy.endswith(".") for one in found if one.state != OK)
    assert list(tmp_path.iterdir()) == []


def test_an_installation_itself_asks_no_host_whether_it_answers(tmp_path, asked):
    """A bare Python, with which a checkout begins, could not."""
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "thesis.txt").touch()
    plan = installation.plan(
        folder=tmp_path / "engine", data=tmp_path, driver=Driver("none"), settings=UserSettings()
    )
    with pytest.raises(SetupError) as caught:
        installation.install(plan)
    assert caught.value.code == "environment.not_ours"
    assert asked == []


def test_the_index_that_was_set_is_asked_instead_and_not_named(asked):
    finding = checks.check_network("https://user:word@index.example/simple")
    assert asked == ["https://user:word@index.example/simple"]
    assert finding.message == "There is no connection to your package index."


def test_a_disk_that_is_too_small_is_an_error(tmp_path):
    assert code_of(tmp_path / "engine", 1e9) == "disk.full"


def test_a_place_below_a_file_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    assert code_of(tmp_path / "file" / "engine") == "environment.not_writable"


def test_a_drive_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(places.os.path, "exists", lambda path: False)
    finding = places.folder(look_at(engine_place(Path("Q:/engine"), 1.0, OTHER)))
    assert (finding.check, finding.state) == ("folder.engine", ERROR)
    assert finding.message == "The drive of the folder for the engine is not there."
    with pytest.raises(SetupError) as caught:
        checks.stop_at_errors([finding])
    assert caught.value.code == "environment.not_writable"


def test_a_disk_that_does_not_tell_is_taken(tmp_path, monkeypatch):
    def fail(_):
        raise OSError("no answer")

    monkeypatch.setattr(places.shutil, "disk_usage", fail)
    checks.stop_at_errors(check_all(tmp_path / "engine").values())


def test_a_folder_with_anything_else_is_an_error(tmp_path):
    assert check_all(tmp_path)["folder"].state == OK  # it is empty
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin")  # of somebody's own environment
    assert code_of(tmp_path) == "environment.not_ours"
    assert [path.name for path in tmp_path.iterdir()] == ["pyvenv.cfg"]


def test_a_link_to_nowhere_is_an_error(tmp_path):
    link = tmp_path / "engine"
    try:
        link.symlink_to(tmp_path / "gone")
    except OSError:
        pytest.skip("links need a right on Windows")
    assert code_of(link) == "environment.not_ours"


def test_an_interpreter_that_was_named_is_tried(tmp_path):
    assert checks.check_interpreter(Path(sys.executable), None).state == OK
    assert checks.check_interpreter(tmp_path / "python", None).state == ERROR


def test_an_old_system_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "system_hindrance", lambda: "This is macOS 11.")
    found = check_all(tmp_path / "engine")["interpreter"]
    assert (found.state, found.message) == (ERROR, "This is macOS 11.")
    assert code_of(tmp_path / "engine") == "environment.no_interpreter"


# The names of folders on Windows


@pytest.mark.parametrize("development", [False, True])
@pytest.mark.parametrize("build", [one.id for one in builds("win32-AMD64")])
def test_the_usual_folder_is_never_too_long(build, development, monkeypatch):
    monkeypatch.setattr(paths, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setenv("LOCALAPPDATA", rf"C:\Users\{'n' * 20}\AppData\Local")
    folder = Environments().folder(build, development)
    assert str(folder).startswith("C:")
    assert on_windows(folder).state == OK


@pytest.mark.parametrize(
    ("letters", "short_names", "state"),
    [(91, True, OK), (92, True, WARNING), (92, False, OK)],
)
def test_long_names_are_a_warning_where_they_fail(letters, short_names, state):
    folder = Path("C:/" + "n" * (letters - 3))
    longest = f"{folder}.new~0123/{'n' * 158}"
    assert (len(longest) > 259) == (letters > 91)
    assert on_windows(folder, short_names).state == state


def test_letters_beyond_ascii_are_a_warning():
    assert on_windows(Path("C:/Jürgen")).state == WARNING


def on_windows(folder: Path, short_names: bool = True) -> Finding:
    place = engine_place(folder, 1.0, OTHER)
    return places.folder(Room(place, True, 50.0, True, windows=True, short_names=short_names))
