"""The private folder of a run disappears, whatever ends the run."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import TotalSegmentatorLib
from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.jobs import sweep, workspace
from TotalSegmentatorLib.jobs.workspace import default_root, try_lock


def test_folder_is_private_and_goes_with_its_content(tmp_path):
    with workspace(tmp_path) as folder:
        (folder / "image.nii").write_bytes(b"patient")
        if sys.platform != "win32":
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_folder_goes_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), workspace(tmp_path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_folder_stays_if_asked(tmp_path):
    with workspace(tmp_path, keep=True) as folder:
        pass
    assert sweep(tmp_path) == []
    assert folder.is_dir()


def test_folder_that_is_just_being_made_is_left_alone(tmp_path):
    folder = tmp_path / "tseg-new"
    folder.mkdir()
    (folder / "owner.lock").write_bytes(b"")
    assert sweep(tmp_path) == []
    assert folder.is_dir()


def test_sweep_removes_what_a_killed_process_left_and_nothing_else(tmp_path):
    code = (
        "import os, pathlib\n"
        "from TotalSegmentatorLib.jobs import workspace\n"
        f"with workspace(pathlib.Path({str(tmp_path)!r})) as folder:\n"
        "    (folder / 'image.nii').write_bytes(b'patient')\n"
        "    os._exit(9)\n"
    )
    library = Path(TotalSegmentatorLib.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(library)}, check=False
    )
    (left,) = tmp_path.iterdir()
    (tmp_path / "tseg-without-lock").mkdir()
    with workspace(tmp_path) as alive:  # entering sweeps
        assert not left.exists()
        assert sweep(tmp_path) == []
        assert alive.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["tseg-without-lock"]


@pytest.mark.skipif(os.name != "posix", reason="sockets with paths")
@pytest.mark.parametrize("length", [20, 57, 58, 200])
def test_sockets_fit_below_the_folder(length, monkeypatch):
    system = "/t" + "x" * (length - 2)
    monkeypatch.setattr(tempfile, "tempdir", system)
    root = default_root()
    assert root == Path(system if length <= 57 else "/tmp")
    assert len(f"{root}/tseg-12345678/pymp-12345678/listener-12345678") < 104


def test_missing_temporary_folder_is_one_sentence(tmp_path):
    with pytest.raises(SetupError) as caught, workspace(tmp_path / "missing"):
        pass
    assert caught.value.code == "disk.not_writable"


@pytest.mark.skipif(sys.platform == "win32", reason="fcntl")
@pytest.mark.parametrize(
    ("number", "taken"),
    [(errno.EWOULDBLOCK, False), (errno.EACCES, False), (errno.ENOLCK, True), (errno.ENOSYS, True)],
)
def test_a_drive_without_locks_hinders_nobody(tmp_path, monkeypatch, number, taken):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    with workspace(tmp_path) as folder, open(tmp_path / "a.lock", "w+b") as file:
        monkeypatch.setattr("fcntl.flock", refuse)
        assert try_lock(file) == taken
        assert sweep(tmp_path) == []  # nobody knows whether it has an owner
        assert folder.is_dir()
