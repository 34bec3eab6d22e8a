"""Everything that goes wrong: nothing is lost, and people are told in a sentence what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.disks import mounted
from support.fault_table import note
from support.package_index import package_index
from support.tiny_packages import TinyPackages, make_wheel
from support.tiny_setup import command, own_variables, quick, tiny_plan, use_tiny_packages

from TotalSegmentatorLib.environment import (
    Environment,
    Environments,
    Observer,
    environments,
    installation,
    installers,
    interpreter,
    lock,
)
from TotalSegmentatorLib.environment.environments import NOTE
from TotalSegmentatorLib.environment.lock import lock_version
from TotalSegmentatorLib.environment.paths import import_folder
from TotalSegmentatorLib.errors import CancelledError, SegmentationError, SetupError
from TotalSegmentatorLib.jobs.workspace import try_lock

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts and signals")


class World:
    """Tiny packages, and a user who has an environment of earlier packages in use."""

    def __init__(self, root: Path, replace: pytest.MonkeyPatch) -> None:
        self.packages = TinyPackages(root / "packages")
        self.data = root / "data"
        self._replace = replace
        self.use(self.packages)
        self.known = Environments(self.data / "engines")
        self.before = make_former(self.known, "former")

    def use(self, packages: TinyPackages) -> None:
        self.packages = packages
        use_tiny_packages(packages, self.data, self._replace.setattr)

    def plan(self, index: str = "", **more):
        return tiny_plan(self.packages, self.data, index, **more)

    def install(self, index: str = "", observer=None, variables=None, force=False, **more):
        return installation.install(
            self.plan(index, **more), None, observer, quick(variables), force
        )

    def make_current(self) -> Environment:
        """As if the packages that are locked now had been installed."""
        folder = make_whole(self.plan().folder, lock_version())
        return self.known.use(folder.name)

    def check_nothing_lost(self) -> None:
        """What was in use is in use, with every file, and no rest of an attempt is there."""
        current = self.known.current()
        assert current is not None and current.folder == self.before
        assert (self.before / "precious.txt").read_text() == "works"
        assert [p.name for p in self.known.root.iterdir() if p.is_dir()] == [self.before.name]


def make_whole(folder: Path, lock: str) -> Path:
    """What counts as an environment, with nothing in it but a file to be missed."""
    interpreter(folder).parent.mkdir(parents=True)
    interpreter(folder).touch()
    (folder / "pyvenv.cfg").write_text("version = 3.11.7\n")
    (folder / "precious.txt").write_text("works")
    values = {"folder": str(folder), "lock": lock, "build": "cpu", "development": False}
    (folder / NOTE).write_text(json.dumps({**values, "versions": {"torch": "2.0"}}))
    return folder


def make_former(known: Environments, name: str) -> Path:
    """An environment of earlier packages, in use."""
    folder = make_whole(known.root / name, "earlier")
    known.use(name)
    return folder


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield World(tmp_path, monkeypatch)
    lock.lock_version.cache_clear()
    lock.read_lock.cache_clear()


def fails(world: World, fault: str, code: str, **how) -> SegmentationError:
    """The error of an installation, which must be one sentence with a remedy."""
    with pytest.raises(SegmentationError) as caught:
        world.install(**how)
    error = caught.value
    assert error.code == code, f"{error}\n{error.details}"
    assert "\n" not in error.message and error.message.endswith(".")
    assert error.remedy or code == "cancelled"
    world.check_nothing_lost()
    note(fault, error)
    return error


# What is offered


def test_missing_wheel(world):
    world.packages.wheel("nnunetv2").unlink()
    error = fails(world, "A wheel is missing", "environment.package_missing")
    assert "nnunetv2" in error.message


def test_pytorch_is_missing(world):
    world.packages.wheel("torch").unlink()
    fails(world, "PyTorch's wheel is missing", "environment.package_missing")


def test_wheel_of_another_content(world):
    make_wheel(world.packages.wheels, "nnunetv2", "import os\n")
    variables = {"UV_NO_VERIFY_HASHES": "1"}  # is not obeyed
    title = "A wheel is not the locked one (SHA-256)"
    error = fails(world, title, "environment.wrong_file", variables=variables)
    assert "nnunetv2" in error.message


def test_wheel_for_another_system(world):
    world.packages.wheel("nnunetv2").unlink()
    make_wheel(world.packages.wheels, "nnunetv2", tag="cp311-cp311-win_arm64")
    fails(world, "A wheel is for another system", "environment.package_missing")


@pytest.mark.parametrize("program", ["uv", pytest.param("pip", marks=pytest.mark.slow)])
def test_pytorch_of_an_index_of_its_own(world, monkeypatch, tmp_path, program):
    """What it needs is there, as locked: its index is asked for nothing that the lock holds, and no
    other one is asked for anything."""
    public, own = tmp_path / "public", tmp_path / "own"
    make_wheel(own, "torch", requires=["nnunetv2"])
    make_wheel(public, "torch", "raise SystemExit('from the wrong index')\n")
    if program == "pip":
        monkeypatch.setattr(installers, "get_uv", lambda *_: fail())
    with (
        package_index(world.packages.wheels) as index,
        package_index(own) as torch,
        package_index(public) as wrong,
    ):
        world.packages.wheel("torch").unlink()
        build = replace(world.plan().build, kind="nvidia", index=torch)
        monkeypatch.setattr(installation, "find_build", lambda id: build)
        variables = {"UV_INDEX": wrong, "PIP_EXTRA_INDEX_URL": wrong}
        made = world.install(index=index, variables=variables)
    assert made.state == "ready"
    assert "PyTorch" in world.plan().unchecked
    python = interpreter(made.folder)
    code = "import importlib.metadata as m; print(m.version('nnunetv2'))"
    assert subprocess.check_output([python, "-c", code], text=True).strip() == "2.8.1"


def fail():
    raise SetupError("environment.install_failed", "It cannot be had.")


def test_wheel_is_damaged(world):
    path = world.packages.wheel("nnunetv2")
    path.write_bytes(path.read_bytes()[:200])
    fails(world, "A wheel is damaged", "environment.wrong_file")


def test_bundle_without_packages(world):
    shutil.rmtree(world.packages.wheels)
    fails(world, "A bundle's folder is empty", "environment.no_bundle")


# Disk and folders


def test_full_disk_is_known_before(world, monkeypatch):
    usage = shutil.disk_usage(world.data)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    fails(world, "The disk has too little space", "disk.full")


def test_disk_becomes_full(world, monkeypatch):
    usage = shutil.disk_usage(world.data)
    big = TinyPackages(world.packages.root, {"nnunetv2": "# " + "x" * 3_000_000})
    world.use(big)
    with mounted(world.known.root, "size=1m"):
        world.before = make_former(world.known, "former")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        fails(world, "The disk becomes full in the middle", "disk.full")


def test_folder_is_read_only(world):
    with mounted(world.known.root, "ro"):
        with pytest.raises(SetupError) as caught:
            world.install()
        assert caught.value.code == "environment.not_writable"
    world.check_nothing_lost()
    note("The folder is read-only", caught.value)


def test_place_is_below_a_file(world, tmp_path):
    (tmp_path / "file").write_text("")
    where = {"folder": tmp_path / "file" / "engine"}
    fails(world, "The place lies below a file", "environment.not_writable", **where)


def test_folder_of_somebody_else(world, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.txt").write_text("years of work")
    fails(world, "The folder holds something else", "environment.not_ours", folder=folder)
    assert (folder / "chapter1.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["Ünï cødé 患者", "long" * 40])
def test_unusual_paths_work(world, tmp_path, name):
    world.data = tmp_path / name
    world.known = Environments(world.data / "engines")
    world.use(world.packages)
    assert len(str(world.plan().folder)) > 200 or not name.isascii()
    assert world.install().state == "ready"
    kind = "200 letters" if name.isascii() else "letters beyond ASCII"
    note(f"The path has {kind}", "It is installed.")


def test_log_cannot_be_written(world):
    (world.data / "logs").write_text("")
    assert world.install().state == "ready"
    note("The log cannot be written", "It is installed without a log.")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_disk_of_the_log_is_full(world, monkeypatch):
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(installation, "_open_log", lambda folder: full)
        assert world.install().state == "ready"
        assert full.closed


def test_log_is_named(world):
    world.packages.wheel("nnunetv2").unlink()
    with pytest.raises(SetupError) as caught:
        world.install()
    (name,) = [path.name for path in (world.data / "logs").iterdir()]
    assert f"See {name} in the folder logs." in caught.value.details


def test_temporary_folder_is_gone(world, monkeypatch):
    monkeypatch.setattr(installation, "self_test", lambda *_: {"torch": "2.13.0"})
    assert world.install(variables={"TMPDIR": "/none", "TEMP": "/none"}).state == "ready"


@pytest.mark.parametrize(
    ("number", "code"),
    [(28, "disk.full"), (13, "environment.not_writable"), (5, "environment.install_failed")],
)
def test_errors_of_the_system_are_sentences(world, monkeypatch, number, code):
    def trouble(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(installation, "python_of", trouble)
    fails(world, f"The system says: {os.strerror(number)}", code)


# The network


def test_no_network(world):
    fails(world, "Nobody answers", "network.unreachable", index="http://127.0.0.1:9/simple")


def test_no_network_at_all(world):
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    program = command(world.packages, world.data, "https://pypi.org/simple")
    done = subprocess.run(["unshare", "-n", *program], env=own_variables(), check=False)
    assert "[network.unreachable]" in log_of(world)
    assert done.returncode
    world.check_nothing_lost()


def log_of(world: World) -> str:
    return "".join(path.read_text("utf-8") for path in (world.data / "logs").iterdir())


@pytest.mark.parametrize(
    ("fault", "title", "code"),
    [
        ("break", "The server breaks off in the middle of a file", "network.broken_off"),
        ("html", "Files are a web page", "environment.wrong_file"),
        ("portal", "A sign-in page answers everything", "environment.package_missing"),
        ("500", "The server has an error", "network.refused"),
    ],
)
def test_index_fails(world, fault, title, code):
    with package_index(world.packages.wheels, fault) as index:
        fails(world, title, code, index=index)
    if fault == "break":
        with package_index(world.packages.wheels) as index:
            assert world.install(index=index).state == "ready"


def test_proxy_wants_a_password(world):
    with package_index(world.packages.wheels) as proxy:
        variables = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        index = "https://packages.example/simple"
        title = "The proxy wants a password"
        fails(world, title, "network.proxy", index=index, variables=variables)


def test_password_of_an_index_is_nowhere(world, tmp_path):
    lines: list[str] = []
    with package_index(world.packages.wheels, "500") as index:
        index = index.replace("://", "://user:hunter2@")
        observer = Observer(on_line=lines.append)
        error = fails(
            world, "The index with a password has an error", "network.refused",
            index=index, observer=observer,
        )  # fmt: skip
    for text in (log_of(world), "\n".join(lines), str(error), error.details, repr(world.plan())):
        assert "hunter2" not in text


# Interruptions


@pytest.mark.parametrize(
    "stage", [pytest.param(n, marks=pytest.mark.slow) if n != 3 else n for n in range(6)]
)
def test_cancelled_in_each_stage(world, stage):
    steps: list[str] = []
    observer = Observer(
        on_step=lambda share, text: steps.append(text), cancelled=lambda: len(steps) > stage
    )
    with pytest.raises(CancelledError):
        world.install(observer=observer)
    assert len(steps) == stage + 1
    world.check_nothing_lost()
    note(f"Cancelled: {steps[-1]}", "Nothing is changed; what was downloaded is kept.")


@posix_only
def test_killed_in_the_middle(world):
    with package_index(world.packages.wheels, "hang") as index:
        program = command(world.packages, world.data, index)
        process = subprocess.Popen(program, env=own_variables())
        (made,) = until(lambda: list(world.known.root.glob("*.new~*/pyvenv.cfg")))
        until(lambda: "Installing" in log_of(world))
        process.kill()
        process.wait()
    assert world.known.current().folder == world.before
    assert made.parent.name not in [one.name for one in world.known.all()]
    assert world.install().state == "ready"
    assert not made.parent.exists()
    note("The installing process is killed", "The next call removes the rest and goes on.")


def until(found, timeout_s: float = 20.0):
    """What a function finds as soon as it is something."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("whole", [True, False])
def test_killed_between_the_two_renames(world, whole):
    """The environment is there under another name, and perhaps the new one too."""
    folder = world.make_current().folder
    aside = folder.with_name(folder.name + ".old~abcd")
    folder.rename(aside)
    if whole:
        shutil.copytree(aside, folder, symlinks=True)
    touched = (aside / NOTE).stat().st_mtime_ns
    assert world.install().state == "ready"
    assert (folder / NOTE).stat().st_mtime_ns >= touched
    assert not aside.exists()
    state = "after" if whole else "before"
    note(f"It is killed {state} the new one is put into its place", "The next call puts it right.")


def test_two_at_once(world):
    folder = world.plan().folder
    with open(folder.with_name(folder.name + ".lock"), "w+b") as file:
        assert try_lock(file)
        began = time.monotonic()
        fails(world, "Two installations at once", "environment.busy")
        assert time.monotonic() < began + 1.0
    assert world.install().state == "ready"


# The interpreter and the installer


@posix_only
@pytest.mark.parametrize(
    ("script", "title"),
    [("exit 1", "The interpreter is broken"), ("echo 3 8", "The interpreter is too old")],
)
def test_interpreter(world, tmp_path, script, title):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(SetupError) as caught:
        installation.install(world.plan(), python, variables=quick())
    assert caught.value.code == "environment.no_interpreter"
    assert caught.value.remedy
    world.check_nothing_lost()
    note(title, caught.value)


@posix_only
def test_no_command_works_in_a_folder_that_others_may_write_to(world, tmp_path, monkeypatch):
    """``python -m`` imports from where it is started."""
    base, log = tmp_path / "bin" / "python", tmp_path / "folders"
    base.parent.mkdir()
    base.write_text(f'#!/bin/sh\npwd >> {log}\nexec {sys.executable} "$@"\n')
    base.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    made = installation.install(world.plan(), Path("bin/python"), variables=quick())
    assert made.state == "ready"
    folders = set(log.read_text().splitlines())
    assert str(import_folder()) in folders
    assert str(tmp_path) not in folders


def test_foreign_environment_is_not_replaced(world, tmp_path):
    folder = tmp_path / "my-env"
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr\n")
    fails(world, "The folder is somebody's environment", "environment.not_ours", folder=folder)
    assert (folder / "pyvenv.cfg").exists()


@posix_only
@pytest.mark.slow
def test_without_uv_pip_does_it(world, tmp_path):
    os.unlink(world.data / "tools")
    uv = world.data / "tools" / f"uv-{installers.locked_uv()}" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text("#!/bin/sh\nexit 1\n")
    uv.chmod(0o755)
    made = world.install()
    assert made.state == "ready"
    assert "by pip" in world.known.information(made.name)
    left = {path.name for path in interpreter(made.folder).parent.iterdir()}
    assert all(name.startswith("python") for name in left)
    command = [interpreter(made.folder), "-m", "pip", "--version"]
    subprocess.run(command, check=True, capture_output=True)
    note("uv does not start", "It is installed by pip.")


# Whether it works


def test_self_test_fails(world):
    world.use(TinyPackages(world.packages.root, {"torch": "raise OSError('no libgomp')\n"}))
    error = fails(world, "The self-test fails", "environment.check_failed")
    assert "no libgomp" in error.details


def test_self_test_fails_on_a_gpu(world, monkeypatch):
    world.use(TinyPackages(world.packages.root, {"torch": "raise RuntimeError('no kernel')\n"}))
    build = replace(world.plan().build, kind="nvidia")
    monkeypatch.setattr(installation, "find_build", lambda id: build)
    error = fails(world, "The self-test fails on a GPU", "environment.check_failed")
    assert "setup --build cpu" in error.remedy


def test_another_build_in_a_fixed_folder_is_installed(world, tmp_path, monkeypatch):
    folder = make_whole(tmp_path / "engine", lock_version())
    assert installation.is_made(world.plan(folder=folder))
    build = replace(world.plan().build, id="cuda13")
    monkeypatch.setattr(installation, "find_build", lambda id: build)
    assert not installation.is_made(world.plan(folder=folder))
    assert world.install(folder=folder).build == "cuda13"


def test_folder_in_use_is_known_before_anything_is_downloaded(world, monkeypatch):
    made = world.make_current()
    monkeypatch.setattr(installation, "find_installer", lambda *_: pytest.fail("too late"))

    def refuse(source, target):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(environments.os, "replace", refuse)
    with pytest.raises(SetupError) as caught:
        world.install(force=True)
    assert caught.value.code == "environment.in_use"
    assert made.folder.exists()


def test_the_old_one_comes_back_if_the_new_one_cannot_take_its_place(world, monkeypatch):
    made = world.make_current()
    real = os.replace

    def refuse(source, target):
        if Path(target) == made.folder and ".new~" in str(source):
            raise PermissionError(13, "Access is denied")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(environments.os, "replace", refuse)
        with pytest.raises(SetupError) as caught:
            world.install(force=True)
    assert caught.value.code == "environment.in_use"
    assert (made.folder / "precious.txt").read_text() == "works"
    assert world.known.current() == made


def test_forced_reinstall_that_fails_keeps_the_old_one(world):
    made = world.make_current()
    world.packages.wheel("nnunetv2").unlink()
    with pytest.raises(SetupError):
        world.install(force=True)
    assert world.known.current() == made
    assert world.install() == made  # no reason to install anything
    note("A forced reinstallation fails", "The environment in use stays.")


def test_forced_reinstall_replaces(world):
    made = world.make_current()
    (made.folder / "broken").write_text("")
    assert world.install(force=True).folder == made.folder
    assert not (made.folder / "broken").exists()
    assert world.known.previous().folder == world.before


# What is installed, and what is used


def test_rollback_and_back_again(world):
    made = world.make_current()
    assert world.known.current() == made
    assert world.known.rollback().folder == world.before
    assert world.known.current().state == "ready"  # it was chosen
    assert world.known.rollback().folder == made.folder
    note("The new packages are worse", "A rollback uses the earlier environment at once.")


def test_nothing_to_go_back_to(world):
    shutil.rmtree(world.before)
    with pytest.raises(SetupError) as caught:
        world.known.rollback()
    assert caught.value.code == "environment.no_previous"
    note("A rollback without an earlier environment", caught.value)


def test_new_packages_make_the_chosen_one_out_of_date(world, monkeypatch):
    assert world.known.current().state == "ready"
    world.use(TinyPackages(world.packages.root, {"nnunetv2": "new = 1\n"}))
    assert world.known.current().state == "outdated"
    assert world.install().folder != world.before
    assert world.known.previous().folder == world.before


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"current": 5}', '{"current": "../../etc"}', '{"current": "gone"}']
)
def test_damaged_note_of_the_one_in_use(world, content):
    made = world.make_current()
    (world.known.root / "current.json").write_text(content)
    assert world.known.current() == made
    assert {one.name for one in world.known.all()} == {made.name, "former"}
    if content == "{":
        note("current.json is damaged", "The environment of the locked packages is used.")


def test_environment_removed_by_hand(world):
    made = world.make_current()
    shutil.rmtree(made.folder)
    assert world.known.current() is None
    assert world.install().state == "ready"
    note("An environment is removed by hand", "It counts as not installed; setup makes it again.")


def test_environment_damaged_by_hand(world):
    made = world.make_current()
    interpreter(made.folder).unlink()
    (broken,) = [one for one in world.known.all() if one.name == made.name]
    assert broken.state == "broken"
    with pytest.raises(SetupError) as caught:
        world.known.use(made.name)
    assert caught.value.code == "environment.broken"
    assert world.install().state == "ready"
    note("An environment without its interpreter is chosen", caught.value)


def test_unknown_environment(world):
    with pytest.raises(SetupError) as caught:
        world.known.remove("typo")
    assert caught.value.code == "environment.unknown"
    assert "former" in caught.value.remedy
    note("An environment that is not there is named", caught.value)


def test_environment_in_use_cannot_be_replaced(world, monkeypatch):
    """Windows keeps folders in place whose files are open."""
    made = world.make_current()

    def refuse(source, target):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(environments.os, "replace", refuse)
    with pytest.raises(SetupError) as caught:
        world.known.remove(made.name)
    assert caught.value.code == "environment.in_use"
    assert made.folder.exists()
    note("An environment is in use (Windows)", caught.value)
