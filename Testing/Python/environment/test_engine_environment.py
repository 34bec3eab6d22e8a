"""Finding the engine's interpreter, and what is passed on to its process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib import environment
from TotalSegmentatorLib.environment import interpreters
from TotalSegmentatorLib.environment.engine import EngineEnvironment
from TotalSegmentatorLib.environment.installers import Console, Source, locked_uv
from TotalSegmentatorLib.environment.paths import user_data_folder
from TotalSegmentatorLib.errors import SetupError


def test_missing_environment_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    with pytest.raises(SetupError) as caught:
        environment.find_engine()
    assert caught.value.code == "environment.missing"
    assert "setup" in caught.value.remedy


def test_named_interpreter_must_exist(tmp_path):
    with pytest.raises(SetupError) as caught:
        environment.find_engine(tmp_path / "python")
    assert caught.value.code == "environment.no_interpreter"


def test_command_leaves_the_application_s_python_settings_out():
    base = {"PYTHONHOME": "/slicer", "PYTHONPATH": "/slicer/lib", "HTTPS_PROXY": "http://proxy"}
    command = EngineEnvironment(Path(sys.executable), base).command({"TOTALSEG_WEIGHTS_PATH": "w"})
    assert "PYTHONHOME" not in command.variables
    assert command.variables["PYTHONPATH"] == str(Path(environment.__file__).parents[2])
    assert command.variables["HTTPS_PROXY"] == "http://proxy"
    assert command.variables["TOTALSEG_WEIGHTS_PATH"] == "w"
    assert command.variables["PYTHONUTF8"] == "1"


@pytest.mark.parametrize(
    ("platform", "name"),
    [("linux", "GLIBC_TUNABLES"), ("darwin", "PYTORCH_ENABLE_MPS_FALLBACK"), ("win32", "")],
)
def test_the_worker_gets_what_its_system_needs_unless_the_user_says_otherwise(
    platform, name, monkeypatch
):
    monkeypatch.setattr(sys, "platform", platform)
    own = {"GLIBC_TUNABLES", "PYTORCH_ENABLE_MPS_FALLBACK"}
    environment = EngineEnvironment(Path(sys.executable), {})
    assert own & set(environment.command().variables) == ({name} if name else set())
    assert not own & set(environment.command(module="another").variables)
    if name:
        theirs = EngineEnvironment(Path(sys.executable), {name: "theirs"})
        assert theirs.command().variables[name] == "theirs"


@pytest.mark.parametrize(
    ("executable", "embedded"),
    [
        ("/usr/bin/python3.12", False),
        ("/opt/.venv/bin/python", False),
        ("C:/Python/pythonw.exe", False),
        ("/opt/Slicer/bin/PythonSlicer", True),
        ("/opt/Slicer/bin/python-real", True),
        ("/opt/Slicer/bin/SlicerApp-real", True),
    ],
)
def test_slicer_is_told_from_a_python_of_its_own(executable, embedded, monkeypatch):
    monkeypatch.setattr(sys, "executable", executable)
    assert interpreters.embedded() is embedded


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts as programs")
def test_inside_slicer_a_private_python_is_got_by_uv(tmp_path, monkeypatch):
    """Stand-ins for PythonSlicer and uv record how they are called."""
    log = tmp_path / "calls.txt"
    application = tmp_path / "Slicer" / "bin"
    application.mkdir(parents=True)
    uv = f'#!/bin/sh\\necho uv "$@" in $UV_PYTHON_INSTALL_DIR >> {log}\\n'
    slicer_python = application / "PythonSlicer"
    slicer_python.write_text(
        f'#!/bin/sh\necho slicer "$@" >> {log}\n'
        'while [ "$1" != --target ]; do shift; done\n'
        f"mkdir -p $2/bin\nprintf '{uv}' > $2/bin/uv\nchmod +x $2/bin/uv\n"
    )
    slicer_python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(application / "SlicerApp-real"))
    data = tmp_path / "data"
    python = interpreters.base_interpreter(data, Console(), Source())
    first, *calls = log.read_text().splitlines()
    assert first == "slicer -m pip config list"
    assert calls[0].startswith("slicer -m pip install")
    assert "--require-hashes" in calls[0]
    assert (data / "tools" / f"uv-{locked_uv()}" / "bin" / "uv").is_file()
    assert calls[1].startswith("uv --version")
    # Both calls of uv look into the same folder, and nothing is put outside of it.
    place = f"in {data / 'python'}"
    assert calls[2] == f"uv python install --no-bin --no-registry 3.12 {place}"
    assert "--managed-python" in calls[3] and calls[3].endswith(place)
    assert python == environment.interpreter(data / "base")
    interpreters.base_interpreter(data, Console(), Source())
    assert sum(call.startswith("slicer") for call in log.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("platform", "part"),
    [("win32", "Local"), ("darwin", "Application Support"), ("linux", "share")],
)
def test_user_data_lies_where_the_system_wants_it(platform, part, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    folder = user_data_folder()
    assert folder.name == "TotalSegmentator"
    assert folder.parent.name == part
