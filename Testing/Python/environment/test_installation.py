"""What will be installed, what is checked before, and whether a real environment passes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from TotalSegmentatorLib.environment import (
    Environments,
    Observer,
    UserSettings,
    installation,
    interpreters,
    plan,
)
from TotalSegmentatorLib.environment import self_test as trial
from TotalSegmentatorLib.environment.drivers import Driver
from TotalSegmentatorLib.environment.hosts import hosts
from TotalSegmentatorLib.environment.installation import _Meter
from TotalSegmentatorLib.environment.lock import lock_version
from TotalSegmentatorLib.environment.paths import import_folder, user_data_folder
from TotalSegmentatorLib.environment.self_test import last_json, self_test
from TotalSegmentatorLib.errors import CancelledError, EngineError, SegmentationError, SetupError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what is planned on Linux")
NO_DRIVER = Driver("none")


def make_plan(data: Path, settings: UserSettings | None = None, **more):
    return plan(data=data, driver=NO_DRIVER, settings=settings or UserSettings(), **more)


@LINUX
def test_plan_says_what_comes_from_where(tmp_path):
    found = make_plan(tmp_path)
    assert found.build.id == "cpu"
    assert found.folder == Environments(tmp_path / "engines").folder("cpu")
    assert lock_version() in found.folder.name
    assert found.hosts == (*hosts("packages"), *hosts("torch"))
    assert found.download_mb > found.build.download_mb
    assert found.disk_gb > found.build.disk_gb
    assert found.packages["totalsegmentator"] == "2.18.0"


@LINUX
def test_a_checkout_keeps_everything_in_itself(tmp_path):
    root = import_folder().parent
    own = plan(folder=root / ".venv-engine", build="cpu")
    assert own.data == root / ".cache" / "engine"
    other = plan(folder=tmp_path / ".venv-engine", build="cpu")
    assert other.data == user_data_folder()


def test_indexes_of_the_user_are_used_instead(tmp_path):
    settings = UserSettings(
        package_index="https://user:word@pypi.example/simple", torch_index="https://torch.example"
    )
    found = make_plan(tmp_path, settings)
    assert found.hosts == ("pypi.example", "torch.example")
    assert found.build.index == "https://torch.example/cpu"
    assert found.packages_source.index == settings.package_index
    assert "word" not in repr(found)


def test_bundle_asks_nobody(tmp_path):
    found = make_plan(tmp_path, bundle=tmp_path / "files")
    assert found.hosts == ()
    assert found.download_mb == 0
    assert found.packages_source.no_index
    assert found.packages_source.find_links == (str(tmp_path / "files" / "wheels"),)


def test_development_version_is_another_environment(tmp_path):
    found = make_plan(tmp_path, development=True)
    assert found.folder != make_plan(tmp_path).folder
    assert "github.com" in found.hosts
    with pytest.raises(SetupError) as caught:
        make_plan(tmp_path, development=True, bundle=tmp_path)
    assert caught.value.code == "environment.no_bundle_development"


def test_inside_slicer_a_python_comes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "embedded", lambda: True)
    assert set(hosts("interpreter")) <= set(make_plan(tmp_path).hosts)


# On the way


def test_megabytes_are_told_once_a_second(tmp_path, monkeypatch):
    clock, free, told = [0.0], [50e9], []
    monkeypatch.setattr(installation.time, "monotonic", lambda: clock[0])
    usage = lambda _: SimpleNamespace(free=free[0])  # noqa: E731
    monkeypatch.setattr(installation.shutil, "disk_usage", usage)
    meter = _Meter(Observer(on_step=lambda share, text: told.append((share, text))), tmp_path)
    meter.start(0.2, "Installing", 0.4, 1.0)
    for clock[0], free[0] in ((0.5, 49.9e9), (1.5, 49.75e9), (3.0, 40e9), (4.5, 51e9)):
        meter.tick()
    assert [round(share, 2) for share, _ in told] == [0.2, 0.25, 0.4, 0.2]
    assert told[1][1] == "Installing: about 250 of 1000 MB"


class Demo:
    """An engine's process that segments in a moment."""

    def __init__(self, labels: bytes | None = None, error: SegmentationError | None = None) -> None:
        self._labels, self._error = labels, error

    def __call__(self, *_):
        return self

    def run(self, message, context) -> None:
        if self._error:
            raise self._error
        if self._labels is not None:
            Path(message["labels"]).write_bytes(self._labels)

    def end(self) -> None:
        """Nothing is left behind."""


HEADER = bytes(range(256)) + bytes(96)


@pytest.mark.parametrize(
    ("demo", "told"),
    [
        (Demo(error=EngineError("engine.failed", "It broke.", details="a traceback")), "traceback"),
        (Demo(), "nothing"),
        (Demo(HEADER + bytes(64)), "nothing"),
        (Demo(HEADER + bytes(64) + b"\1"), ""),
    ],
    ids=["fails", "writes nothing", "finds nothing", "works"],
)
def test_demo_of_the_self_test(demo, told, monkeypatch, tmp_path):
    monkeypatch.setattr(trial, "EngineProcess", demo)
    monkeypatch.setattr(trial, "observed_run", lambda *_: (0, ['{"torch": "2.13.0"}']))
    if not told:
        assert self_test(tmp_path / "python", Observer()) == {"torch": "2.13.0"}
        return
    with pytest.raises(SetupError) as caught:
        self_test(tmp_path / "python", Observer())
    assert caught.value.code == "environment.check_failed"
    assert told in caught.value.details


def test_noise_after_the_answer():
    assert last_json(["{", '{"a": 1}', "a library says good-bye"]) == {"a": 1}
    assert last_json([]) is None


def test_interpreter_cannot_be_had(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    with pytest.raises(SetupError) as caught:
        interpreters.pip_python()
    assert caught.value.code == "environment.no_interpreter"


# Real ones


@pytest.mark.slow
def test_a_real_environment_passes_the_self_test(engine, runs):
    lines: list[str] = []
    versions = self_test(engine.python, Observer(on_line=lines.append))
    assert versions["TotalSegmentator"] == "2.18.0"
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_nothing_that_is_imported_reports_home(engine, tmp_path):
    """OpenVINO makes an id of the user for Google Analytics as soon as it is imported."""
    variables = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    command = engine.command(variables, "TotalSegmentatorLib.engines.self_test")
    image = tmp_path / "image.nii"
    run = subprocess.run([*command.arguments, image], env=command.variables, check=False)
    assert run.returncode == 0 and image.is_file()
    assert not (tmp_path / "intel").exists()


@pytest.mark.slow
def test_a_python_without_packages_does_not(runs):
    with pytest.raises(SetupError) as caught:
        self_test(Path(sys.executable), Observer())
    assert caught.value.code == "environment.check_failed"
    assert "Error" in caught.value.details


@pytest.mark.slow
def test_the_self_test_can_be_cancelled(engine, runs):
    with pytest.raises(CancelledError):
        self_test(engine.python, Observer(cancelled=lambda: True))
    assert list(runs.iterdir()) == []
