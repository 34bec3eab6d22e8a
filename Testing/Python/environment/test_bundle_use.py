"""Making a bundle and installing from it: with tiny packages, faults of all kinds, no network."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import tiny_packages
from support.disks import mounted
from support.fault_table import note
from support.tiny_packages import TinyPackages, locked, make_wheel
from support.tiny_setup import BUILD, use_tiny_packages
from support.weights_files import put_model

from TotalSegmentatorLib import catalog, environment
from TotalSegmentatorLib.environment import Observer, bundle
from TotalSegmentatorLib.environment.bundle import contents, creating, installing, packages
from TotalSegmentatorLib.environment.bundle.packages import PLATFORMS, Packages
from TotalSegmentatorLib.environment.installers import Console
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError

HERE = bundle.own_platform()
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = "darwin-arm64" if HERE != "macos" else "win32-AMD64"
OTHER = "darwin-arm64" if HERE != "macos" else "win32-AMD64"
ENGINE = Packages(PLATFORMS[HERE], PYTHON, BUILD, with_python=False)
(MODEL,) = catalog.task("total").speeds["fastest"]
(LICENSED,) = catalog.task("face").speeds["normal"]
PROGRAM = Path(__file__).with_name("run_bundle.py")
#: All that pip, uv and requests follow leads to a port where nobody listens.
NOWHERE = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PIP_PROXY", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    "http://127.0.0.1:9",
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights folder with one model."""
    put_model(tmp_path / "weights", MODEL)
    return tmp_path / "weights"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyPackages]:
    """Tiny packages in place of the engine's, in a folder that is all that pip knows."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "Doe, Jöhn"))
    tiny = TinyPackages(tmp_path / "packages")
    use_tiny_packages(tiny, environment.user_data_folder(), monkeypatch.setattr)
    monkeypatch.setitem(tiny_packages.PACKAGES, "uv", ("uv/__init__.py", ""))
    monkeypatch.setitem(tiny_packages.VERSIONS, "uv", "0.13.9")
    installer_lock = tmp_path / "installer-lock.txt"
    installer_lock.write_text(locked(make_wheel(tiny.wheels, "uv")))
    for name, value in (
        ("ENGINE_LOCK", tiny.engine_lock),
        ("TORCH_LOCK", tiny.torch_lock),
        ("INSTALLER_LOCK", installer_lock),
    ):
        monkeypatch.setattr(packages, name, value)
    small = {**packages.specification(), "download_mb": 1}
    monkeypatch.setattr(packages, "specification", lambda: small)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tiny.wheels))
    yield tiny
    packages.read_lock.cache_clear()


def fault(title: str, call: Callable[[], Any]) -> SetupError | InputError:
    """The error of a call: one sentence and a remedy.

    :param title: what is wrong, for the table of faults.
    """
    with pytest.raises((SetupError, InputError)) as caught:
        call()
    error = caught.value
    assert "\n" not in error.message and error.message.endswith(".") and error.remedy
    note(f"Bundle: {title}", error)
    return error


def left(folder: Path) -> set[str]:
    """What is in a folder."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def offline() -> list[str]:
    """How to start a program in a network of its own, which leads nowhere; empty if it cannot."""
    command = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False).returncode:
        return []
    return command


def test_engine_and_weights_arrive_without_any_network(tiny, weights, tmp_path):
    steps: list[tuple[float, str]] = []
    observer = Observer(on_step=lambda share, text: steps.append((share, text)))
    path = tmp_path / "the bundle, ünï.zip"
    made = bundle.create(path, ENGINE, [MODEL], weights, observer)
    assert {m.name.partition("-")[0] for m in made.within("wheels")} == {
        f"wheels/{name}" for name in tiny_packages.PACKAGES
    }
    assert [m.name for m in made.within("weights")] == [f"weights/{MODEL.folder}.zip"]
    assert any("MB" in text for _, text in steps)
    shares = [share for share, _ in steps]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert not [name for name in left(tmp_path) if name.startswith((".", "tseg-"))]

    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [*offline(), sys.executable, PROGRAM, path, tmp_path / "packages"]
        variables = {**os.environ, "TOTALSEG_WEIGHTS_PATH": str(tmp_path / "there")}
        for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX"):
            del variables[name]
        done = subprocess.run(
            [*map(str, command), str(server.getsockname()[1])],
            env={**variables, **NOWHERE},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["state"] == "ready" and answer["weights"] == [MODEL.folder]
    assert answer["reached"] is (not offline())
    assert environment.missing_models([MODEL], tmp_path / "there") == ()
    modules = [path.name for path in Path(answer["folder"]).rglob("totalsegmentator/__init__.py")]
    assert modules == ["__init__.py"]
    assert not list(environment.user_data_folder().glob("tseg-*"))


def test_weights_alone(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = tmp_path / "weights.zip"
    made = bundle.create(path, None, [MODEL, LICENSED, MODEL], weights)
    assert [m.name for m in made.members] == [f"weights/{MODEL.folder}.zip"]
    assert (made.lock, made.system, made.python, made.torch_build) == ("", "", "", "")
    done = bundle.install(path, tmp_path / "there")
    assert done.environment is None and [one.model for one in done.weights] == [MODEL]
    assert environment.missing_models([MODEL], tmp_path / "there") == ()
    again = bundle.install(path, tmp_path / "there")
    assert [one.model for one in again.weights] == [MODEL]


def test_weights_that_are_not_here_are_downloaded(tmp_path, monkeypatch):
    def download(model: catalog.Model, target: Path, *_: object) -> None:
        target.write_bytes(b"the published archive of " + model.folder.encode())

    monkeypatch.setattr(creating, "download_archive", download)
    bundle.create(tmp_path / "b.zip", None, [MODEL], tmp_path / "none")
    with zipfile.ZipFile(tmp_path / "b.zip") as made:
        assert made.read(f"weights/{MODEL.folder}.zip").endswith(MODEL.folder.encode())


def test_licensed_weights_are_never_part_of_it(tmp_path):
    error = fault(
        "nothing but licensed weights",
        lambda: bundle.create(tmp_path / "b.zip", None, [LICENSED], tmp_path),
    )
    assert error.code == "input.empty_bundle" and "licence" in error.message
    assert left(tmp_path) == set()


def test_repacked_weights_are_the_same_every_time(weights, tmp_path):
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    bundle.create(first, None, [MODEL], weights)
    for path in weights.rglob("*.json"):
        path.touch()
    bundle.create(second, None, [MODEL], weights)
    assert bundle.read(first).members == bundle.read(second).members


def test_an_older_file_stays_unless_it_may_go(weights, tmp_path):
    path = tmp_path / "b.zip"
    path.write_text("years of work")
    error = fault("its file exists", lambda: bundle.create(path, None, [MODEL], weights))
    assert error.code == "output.exists" and path.read_text() == "years of work"
    bundle.create(path, None, [MODEL], weights, overwrite=True)
    assert bundle.read(path).members


def test_a_folder_that_is_read_only(weights, tmp_path, monkeypatch):
    path = tmp_path / "b.zip"
    with mounted(tmp_path / "drive", "ro"):
        error = fault(
            "its place is read-only",
            lambda: bundle.create(tmp_path / "drive" / "b.zip", None, [MODEL], weights),
        )
        assert error.code == "output.not_writable"
        bundle.create(path, None, [MODEL], weights)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "drive"))
        error = fault(
            "the user's folder is read-only", lambda: bundle.install(path, tmp_path / "there")
        )
    assert error.code == "disk.not_writable" and not (tmp_path / "there").exists()


def test_no_space_is_known_before_the_start(weights, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    path = tmp_path / "b.zip"
    with monkeypatch.context() as context:
        context.setattr(shutil, "disk_usage", lambda _: full)
        error = fault(
            "too little space to make it", lambda: bundle.create(path, None, [MODEL], weights)
        )
    assert error.code == "disk.full" and left(tmp_path) == {"weights"}
    bundle.create(path, None, [MODEL], weights)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    error = fault("too little space to unpack it", lambda: bundle.install(path, tmp_path / "there"))
    assert error.code == "disk.full" and not (tmp_path / "there").exists()


def test_a_disk_that_becomes_full_on_the_way(weights, tmp_path, monkeypatch):
    plenty = shutil.disk_usage(tmp_path)
    path, drive = tmp_path / "b.zip", tmp_path / "drive"
    (weights / MODEL.folder / "notes.json").write_bytes(bytes(3_000_000))
    bundle.create(path, None, [MODEL], weights)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: plenty)
    with mounted(drive, "size=2m"):
        error = fault(
            "the disk becomes full while it is made",
            lambda: bundle.create(drive / "b.zip", None, [MODEL], weights),
        )
        assert error.code == "disk.full" and left(drive) == set()
        monkeypatch.setenv("XDG_DATA_HOME", str(drive))
        error = fault(
            "the disk becomes full while it is unpacked",
            lambda: bundle.install(path, tmp_path / "there"),
        )
        assert error.code == "disk.full" and "nothing was installed" in error.message
        assert left(environment.user_data_folder()) == set()
    assert not (tmp_path / "there").exists()


def test_cancelled(weights, tmp_path, monkeypatch):
    path = tmp_path / "b.zip"
    stop = Observer(cancelled=lambda: True)
    with pytest.raises(CancelledError):
        bundle.create(path, None, [MODEL], weights, stop)
    assert left(tmp_path) == {"weights"}
    bundle.create(path, None, [MODEL], weights)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(CancelledError):
        bundle.install(path, tmp_path / "there", observer=stop)
    assert not (tmp_path / "there").exists()
    assert left(environment.user_data_folder()) == set()


def engine_bundle(tmp_path: Path, **changes: str) -> Path:
    """A bundle that says it holds an engine."""
    wheel = tmp_path / "files" / "wheels" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"tiny")
    members = contents.listed(tmp_path / "files", lambda count: None)
    said = contents.Contents("0.0.1", "2026-11-21", members, installing.lock_version())
    said = dataclasses.replace(
        said, system="-".join(PLATFORMS[HERE].system), python=PYTHON, torch_build="cpu"
    )
    path = tmp_path / "engine.zip"
    contents.write(
        path, dataclasses.replace(said, **changes), tmp_path / "files", lambda count: None
    )
    return path


@pytest.mark.parametrize(
    ("title", "changes", "code", "said"),
    [
        ("for an unknown system", {"system": "sunos-sparc"}, "bundle.other_system", "sunos"),
        ("for another system", {"system": OTHER}, "bundle.other_system", ""),
        ("for another Python", {"python": "3.9"}, "bundle.other_python", "3.9"),
        ("of another version", {"lock": "00000000"}, "bundle.other_version", "0.0.1"),
    ],
)
def test_a_bundle_for_another_computer(tmp_path, monkeypatch, title, changes, code, said):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = engine_bundle(tmp_path, **changes)
    error = fault(title, lambda: bundle.install(path, tmp_path / "there"))
    assert error.code == code and said in error.message
    assert not (tmp_path / "data").exists()


def test_a_bundle_with_a_flipped_byte_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = engine_bundle(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tinx"))
    error = fault("a byte has changed", lambda: bundle.install(path, tmp_path / "there"))
    assert error.code == "bundle.damaged"
    assert left(environment.user_data_folder()) == set()


def test_inside_slicer_the_python_comes_from_the_bundle(tmp_path, monkeypatch):
    """uv is told a folder in which it lies as on the server."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "executable", "/opt/Slicer/bin/SlicerApp-real")
    place = tmp_path / "files" / "python" / "20261110" / "cpython-3.12.16+1-x.tar.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"a Python")
    seen: dict[str, Any] = {}

    def install(plan: Any, base: Any, observer: Any, variables: Any, force: bool) -> None:
        from urllib.request import url2pathname

        mirror = variables["UV_PYTHON_INSTALL_MIRROR"]
        folder = Path(url2pathname(mirror.removeprefix("file:")))
        seen["python"] = (folder / "20261110" / place.name).read_bytes()
        seen["wheels"] = [path.name for path in (plan.bundle / "wheels").iterdir()]

    monkeypatch.setattr(installing.installation, "install", install)
    bundle.install(engine_bundle(tmp_path, python="3.12"), tmp_path / "there")
    assert seen == {"python": b"a Python", "wheels": ["tiny-1.0-py3-none-any.whl"]}


UV_ANSWER = [
    {"key": "cpython-3.12.16-linux-x86_64-musl", "url": "https://h/d/2/musl.tar.gz"},
    {"key": "cpython-3.12.16+freethreaded-linux-x86_64-gnu", "url": "https://h/d/2/free.tar.gz"},
    {
        "key": "cpython-3.12.16-linux-x86_64-gnu",
        "url": "https://h/d/2/cpython-3.12.16%2B2-l.tar.gz",
    },
    {"key": "cpython-3.12.16-windows-x86_64-none", "url": "https://h/d/2/cpython-3.12-w.tar.gz"},
    {"key": "cpython-3.12.16-macos-aarch64-none", "url": "https://h/d/2/cpython-3.12-m.tar.gz"},
    {"key": "cpython-3.12.16-linux-aarch64-gnu", "url": "https://h/d/2/cpython-3.12-a.tar.gz"},
]


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        ("linux", "cpython-3.12.16+2-l.tar.gz"),
        ("linux-arm", "cpython-3.12-a.tar.gz"),
        ("windows", "cpython-3.12-w.tar.gz"),
        ("macos", "cpython-3.12-m.tar.gz"),
    ],
)
def test_python_for_every_platform(tmp_path, monkeypatch, platform, name):
    """It is put where uv looks for it, by the name without escapes."""
    answer = ["warning: something", json.dumps(UV_ANSWER)]
    monkeypatch.setattr(packages, "get_uv", lambda *_: Path("uv"))
    monkeypatch.setattr(Console, "run", lambda *_: answer)
    got: list[Path] = []
    monkeypatch.setattr(packages, "download", lambda url, target, **_: got.append(target))
    wanted = Packages(PLATFORMS[platform], "3.12", BUILD)
    packages.fetch_python(wanted, tmp_path, Observer())
    assert got == [tmp_path / "2" / name]


def fetch(folder: Path, platform: str = HERE, **build: Any) -> set[str]:
    """The names of the packages that are put into a folder."""
    wanted = Packages(PLATFORMS[platform], PYTHON, dataclasses.replace(BUILD, **build))
    folder.mkdir(exist_ok=True)
    packages.fetch_packages(wanted, folder / "wheels", folder, Observer())
    return {path.name for path in (folder / "wheels").iterdir()}


@pytest.mark.slow
def test_packages_for_another_system(tiny, tmp_path):
    """A wheel for Windows is found for Windows, and missing for this computer."""
    tag = "py3-none-win_amd64"
    tiny.wheel("nnunetv2").unlink()
    wheel = make_wheel(tiny.wheels, "nnunetv2", tag=tag)
    lines = [line for line in tiny.engine_lock.read_text().splitlines() if "nnunetv2" not in line]
    tiny.engine_lock.write_text("\n".join([*lines, locked(wheel)]))
    packages.read_lock.cache_clear()
    assert wheel.name in fetch(tmp_path, "windows")
    error = fault("a package is missing", lambda: fetch(tmp_path / "2", "linux-arm"))
    assert error.code == "bundle.no_package"
    assert "nnunetv2==2.8.1 for Linux on ARM" in error.message


@pytest.mark.slow
def test_a_package_that_is_not_the_locked_one(tiny, tmp_path):
    make_wheel(tiny.wheels, "nnunetv2", "print('another')")
    error = fault("the index has another package", lambda: fetch(tmp_path))
    assert error.code == "environment.wrong_file"


@pytest.mark.slow
def test_a_pytorch_from_an_index_of_its_own(tiny, tmp_path, monkeypatch):
    """What lies in an administrator's folder is taken first; the index here leads nowhere."""
    nowhere = {"index": "http://127.0.0.1:9", "requirement": "torch==2.13.0"}
    assert "torch-2.13.0-py3-none-any.whl" in fetch(tmp_path, **nowhere)
    tiny.wheel("torch").unlink()
    for name, value in {"NO_INDEX": "0", "RETRIES": "1", "INDEX_URL": nowhere["index"]}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    error = fault("PyTorch's index is out of reach", lambda: fetch(tmp_path / "2", **nowhere))
    assert error.code == "network.unreachable"


def test_a_python_that_cannot_be_got_may_be_left_out(tmp_path, monkeypatch):
    def offline(*_: object) -> None:
        raise SetupError("network.unreachable", "The host cannot be reached.", "Wait.")

    monkeypatch.setattr(packages, "get_uv", offline)
    wanted = Packages(PLATFORMS[HERE], "3.12", BUILD)
    error = fault(
        "no Python for Slicer", lambda: packages.fetch_python(wanted, tmp_path, Observer())
    )
    assert error.code == "bundle.no_python" and "--no-python" in error.remedy


@pytest.mark.slow
def test_the_libraries_of_a_gpu_come_along(tiny, tmp_path, monkeypatch):
    """They are not locked; what is locked of PyTorch's needs keeps its version."""
    monkeypatch.setitem(tiny_packages.PACKAGES, "gpulib", ("gpulib/__init__.py", ""))
    monkeypatch.setitem(tiny_packages.VERSIONS, "gpulib", "12.6")
    make_wheel(tiny.wheels, "gpulib")
    monkeypatch.setitem(tiny_packages.VERSIONS, "nnunetv2", "99")
    make_wheel(tiny.wheels, "nnunetv2")
    torch = tiny.wheel("torch")
    with zipfile.ZipFile(torch) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    files["torch-2.13.0.dist-info/METADATA"] += "Requires-Dist: gpulib\nRequires-Dist: nnunetv2\n"
    with zipfile.ZipFile(torch, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    here = {"index": "http://127.0.0.1:9", "requirement": "torch==2.13.0", "kind": "nvidia"}
    monkeypatch.setattr(packages, "locked_versions", lambda _: {"nnunetv2": "2.8.1"})
    names = fetch(tmp_path, **here)
    assert {name for name in names if name.startswith(("gpulib", "nnunetv2"))} == {
        "gpulib-12.6-py3-none-any.whl",
        "nnunetv2-2.8.1-py3-none-any.whl",
    }


def test_a_gpu_s_libraries_need_a_computer_of_the_same_kind(tmp_path):
    other = "linux-arm" if HERE != "linux-arm" else "linux"
    error = fault(
        "a GPU's libraries for another system",
        lambda: fetch(tmp_path, other, index="https://i", kind="nvidia"),
    )
    assert error.code == "bundle.wrong_computer"
