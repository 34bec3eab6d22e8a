"""Making an engine environment: checked, explained, cancellable, whole or not at all.

It is made under another name beside its place, tried there, and renamed as the last step. Until
then the environment in use stays as it was. What was downloaded is kept, so a failed or cancelled
installation goes on where it stopped when it is started again.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from ..errors import SegmentationError, SetupError
from . import json_files
from .checks import check_all, check_network, stop_at_errors
from .drivers import NONE, Driver, find_driver
from .engine import default_folder, installed_versions, is_ready
from .environments import (
    NOTE,
    Environment,
    Environments,
    alone,
    discard,
    fixed_folder,
    is_of_checkout,
    is_whole,
    put_right,
    python_of,
    read_environment,
    read_note,
    set_aside,
    temporary_folder,
)
from .findings import Finding
from .hosts import hosts
from .installers import Console, Installer, Source, failure, find_installer
from .interpreters import (
    absolute_program,
    base_interpreter,
    embedded,
    pip_console,
    pip_python,
)
from .lock import (
    ENGINE_LOCK,
    TORCH_LOCK,
    Requirement,
    Target,
    lock_version,
    locked_versions,
    read_lock,
    required,
    specification,
    this_target,
)
from .observer import Observer
from .paths import interpreter, user_data_folder
from .self_test import self_test
from .settings import UserSettings, load_settings
from .torch_builds import TORCH_INDEX, TorchBuild, choose_build, find_build, from_mirror

_LOGS_KEPT = 10


@dataclass(frozen=True)
class Plan:
    """What will be installed, for the consent dialog and for :func:`install`.

    :param build: the PyTorch, with the reason for it.
    :param folder: where the environment will lie.
    :param packages: the locked packages besides PyTorch: name -> version.
    :param download_mb: size of the downloads (10**6 bytes); 0 from a bundle.
    :param disk_gb: space needed (10**9 bytes).
    :param hosts: the computers that are asked for something; empty from a bundle.
    :param source: where the packages come from, for people.
    :param index: the package index, if not that of pip's configuration; it may hold a password.
    :param bundle: a folder with everything in ``wheels``; None to download.
    :param development: whether the official package's development version is installed, untested.
    :param data: the folder for uv, downloads and logs.
    :param shared: whether it becomes one of the user's environments; else its folder is fixed, as
        in a checkout.
    """

    build: TorchBuild
    folder: Path
    packages: Mapping[str, str]
    download_mb: int
    disk_gb: float
    hosts: tuple[str, ...]
    source: str
    index: str = field(default="", repr=False)
    bundle: Path | None = None
    development: bool = False
    data: Path = field(default_factory=user_data_folder)
    shared: bool = True

    @property
    def packages_source(self) -> Source:
        """Where everything but PyTorch comes from."""
        if self.bundle:
            return Source(find_links=(str(self.bundle / "wheels"),), no_index=True)
        return Source(index=self.index)

    @property
    def unchecked(self) -> str:
        """What no known hash is compared with, a sentence for people; empty if there is nothing."""
        parts = ["PyTorch"] if self.build.is_unchecked(_target().python) else []
        parts += ["TotalSegmentator's development version"] if self.development else []
        if not parts:
            return ""
        return (
            f"There are no locked hashes for {' and '.join(parts)}: it is taken as it is offered."
        )


def plan(
    build: str = "",
    folder: Path | None = None,
    bundle: Path | None = None,
    development: bool = False,
    data: Path | None = None,
    driver: Driver | None = None,
    settings: UserSettings | None = None,
) -> Plan:
    """What would be installed on this computer.

    :param build: id of a PyTorch build; the one that fits the GPU driver by default.
    :param folder: where; by default among the user's environments.
    :param bundle: a folder that holds all packages as ``wheels``.
    :param development: take the official package's development version, which nobody has tested.
    :param data: the folder for environments, downloads and logs; the user's by default, or the
        checkout's ``.cache``.
    :param driver: the GPU driver, looked for by default.
    :param settings: the user's, read by default.
    :raises SetupError: ``environment.unknown_build``, ``environment.no_torch_build`` or
        ``environment.no_bundle_development``.
    """
    if bundle and development:
        raise SetupError(
            "environment.no_bundle_development",
            "A bundle holds no development version.",
            "Leave one of the two out.",
        )
    settings = settings or load_settings()
    data = data or _data(folder)
    row = find_build(build) if build else choose_build(driver or find_driver())
    row = from_mirror(row, settings.torch_index)
    known = specification()
    shared = folder is None
    return Plan(
        build=row,
        folder=folder.absolute() if folder else _folder(data, row, development),
        packages=locked_versions(_target()),
        download_mb=0 if bundle else row.download_mb + known["download_mb"],
        disk_gb=round(row.disk_gb + known["disk_gb"], 1),
        hosts=() if bundle else _hosts(row, settings, development),
        source=_source(bundle, settings),
        index="" if bundle else settings.package_index,
        bundle=bundle.absolute() if bundle else None,
        development=development,
        data=data,
        shared=shared,
    )


def _data(folder: Path | None) -> Path:
    """The user's folder; a checkout keeps everything in itself, for ``make clean`` to remove."""
    if folder and is_of_checkout(folder):
        return folder.absolute().parent / ".cache" / "engine"
    return user_data_folder()


def _folder(data: Path, build: TorchBuild, development: bool) -> Path:
    return Environments(data / "engines").folder(build.id, development).absolute()


def _target() -> Target:
    """The Python that the environment will have."""
    return this_target(specification()["python"] if embedded() else "")


def _hosts(build: TorchBuild, settings: UserSettings, development: bool) -> tuple[str, ...]:
    """The public hosts, or those that the user has set instead."""
    index, torch = settings.package_index, build.index
    found = [_host(index)] if index else list(hosts("packages"))
    if torch:
        found += hosts("torch") if torch.startswith(TORCH_INDEX) else [_host(torch)]
    if embedded():
        found += hosts("interpreter")
    if development:
        found += hosts("development")
    return tuple(dict.fromkeys(found))


def _host(url: str) -> str:
    return urlsplit(url).hostname or "this computer"


def _source(bundle: Path | None, settings: UserSettings) -> str:
    if bundle:
        return f"the bundle {bundle.name}"
    return _host(settings.package_index) if settings.package_index else "the package index (PyPI)"


def check(
    plan: Plan,
    base: Path | None = None,
    variables: Mapping[str, str] | None = None,
    online: bool = True,
) -> tuple[Finding, ...]:
    """Everything that can be known before something is downloaded; takes some seconds at most.

    :param base: the interpreter to make the environment from; see :func:`install`.
    :param variables: see :func:`install`.
    :param online: whether the package index may be asked if it answers.
    """
    base = absolute_program(base) if base else None
    found = check_all(plan.folder, plan.disk_gb, plan.bundle, base, variables)
    return (*found, check_network(plan.index)) if online and not plan.bundle else found


def install(
    plan: Plan,
    base: Path | None = None,
    observer: Observer | None = None,
    variables: Mapping[str, str] | None = None,
    force: bool = False,
) -> Environment:
    """Make the environment of a plan unless it is there, use it from now on, and return it.

    :param base: the interpreter to make it from; by default the running one, or a private one
        inside an application that brings its own Python (Slicer).
    :param variables: environment variables to start from; an application with library paths of
        its own (Slicer) passes those that it was started with.
    :param force: make it anew even if it is there and up to date.
    :raises SetupError: ``environment.*``, ``network.*`` or ``disk.*``, in a sentence with a remedy;
        the environment in use stays as it was.
    :raises CancelledError: as well.
    """
    observer = observer or Observer()
    known = Environments(plan.folder.parent)
    if plan.shared:
        known.put_right()
    else:
        put_right(plan.folder)
    if force or not is_made(plan):
        with alone(plan.folder), _log(plan, observer) as logged:
            if force or not is_made(plan):  # another process may just have made it
                try:
                    _Installation(plan, logged, variables).run(base)
                except OSError as error:
                    raise failure([str(error)], "installing the engine") from error
    if not plan.shared:
        return read_environment(plan.folder)
    return known.use(plan.folder.name)


def is_made(plan: Plan) -> bool:
    """Whether the environment of a plan is there, of just these packages."""
    note = read_note(plan.folder)
    found = (note.get("lock"), note.get("build"), note.get("development"))
    return is_whole(plan.folder) and found == (lock_version(), plan.build.id, plan.development)


class _Installation:
    """The stages, one after the other."""

    def __init__(self, plan: Plan, observer: Observer, variables: Mapping[str, str] | None) -> None:
        self._plan = plan
        self._observer = observer
        self._variables = variables
        self._meter = _Meter(observer, plan.folder.parent)
        self._console = Console(observer, variables, self._meter.tick)

    def run(self, base: Path | None) -> None:
        plan = self._plan
        self._stage(0.0, "Checking this computer")
        stop_at_errors(check(plan, base, self._variables, online=False))
        if plan.folder.exists():  # better known now than after the downloads
            json_files.replace(set_aside(plan.folder), plan.folder)
        self._stage(0.02, "Getting the installer and the interpreter")
        source = plan.packages_source
        if base:
            base = absolute_program(base)
        else:
            base = base_interpreter(plan.data, self._console, source)
        own = pip_console(self._console)
        installer = find_installer(pip_python(), own, plan.data, self._console, source)
        fresh = temporary_folder(plan.folder, "new")
        try:
            self._stage(0.05, "Making the environment")
            installer.make(base, fresh)
            self._install(installer, fresh)
            self._stage(0.9, "Trying the environment")
            versions = self._try(fresh)
            installer.finish(fresh)
            self._observer.check()
            self._stage(0.99, "Putting the environment into its place")
            json_files.write_values(fresh / NOTE, self._note(versions, installer))
            _put(fresh, plan.folder)
        finally:
            discard(fresh)
        self._observer.on_step(1.0, "Ready")

    def _try(self, folder: Path) -> dict[str, str]:
        try:
            return self_test(interpreter(folder), self._observer, self._variables)
        except SetupError as error:
            if error.code == "environment.check_failed" and self._plan.build.kind != NONE:
                error.remedy = (
                    "Install PyTorch for the processor instead ('setup --build cpu'), and report "
                    "this with the log."
                )
            raise

    def _stage(self, share: float, text: str, until: float = 0.0, gb: float = 0.0) -> None:
        self._observer.check()
        self._meter.start(share, text, until or share, gb)
        self._observer.on_line(f"-- {text}")

    def _install(self, installer: Installer, folder: Path) -> None:
        plan, known = self._plan, specification()
        share = 0.05 + 0.85 * known["disk_gb"] / plan.disk_gb
        title = "Installing TotalSegmentator and the packages that it needs"
        self._stage(0.05, title, share, known["disk_gb"])
        target = this_target(python_of(folder))
        # Some packages are published as source only. What builds them is locked too, and must be
        # there first: else it would come from anywhere, in any version.
        builders = [one for one in read_lock(ENGINE_LOCK) if one.name in known["build_packages"]]
        self._install_locked(installer, folder, _text(required(builders, target)))
        self._install_locked(installer, folder, ENGINE_LOCK.read_text("utf-8"))
        self._stage(share, f"Installing {plan.build.title}", 0.9, plan.build.disk_gb)
        self._install_torch(installer, folder, target)
        if plan.development:
            self._stage(0.89, "Installing TotalSegmentator's development version")
            order = ["--no-deps", "--no-build-isolation", known["development"]]
            installer.install(folder, order, plan.packages_source, "installing TotalSegmentator")

    def _install_locked(self, installer: Installer, folder: Path, lock: str) -> None:
        """Install exactly these packages; nothing of them brings another PyTorch."""
        with _file(folder / "requirements.txt", lock) as path:
            order = ["--no-deps", "--require-hashes", "--no-build-isolation", "-r", path]
            source = self._plan.packages_source
            installer.install(folder, order, source, "installing the packages")

    def _install_torch(self, installer: Installer, folder: Path, target: Target) -> None:
        build, own = self._plan.build, self._plan.packages_source
        # The libraries of a GPU come with its PyTorch; all else that it needs is there, as locked.
        alone = not build.index or build.kind == NONE
        sources = [own]
        if build.index and not own.no_index:
            # An administrator's own folders with wheels go before a public index.
            sources = [replace(own, no_index=True), Source(build.index, only=True)]
        locked = "\n".join(f"{name}=={number}" for name, number in locked_versions(target).items())
        with (
            _file(folder / "requirements.txt", _torch_lock(build, target)) as path,
            _file(folder / "constraints.txt", "" if alone else locked) as constraints,
        ):
            order = [*(["--no-deps"] if alone else ["--constraint", constraints]), "-r", path]
            for number, source in enumerate(sources):
                try:
                    installer.install(folder, order, source, "installing PyTorch")
                    return
                except SetupError as error:
                    last = number == len(sources) - 1
                    if last or error.code != "environment.package_missing":
                        raise

    def _note(self, versions: Mapping[str, str], installer: Installer) -> dict[str, object]:
        plan = self._plan
        return {
            "folder": str(plan.folder),
            "lock": lock_version(),
            "build": plan.build.id,
            "development": plan.development,
            "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
            "source": plan.source,
            "installer": installer.name,
            "versions": dict(versions),
        }


class _Meter:
    """Tells how much of a stage has arrived on the disk.

    The installers do not tell. What the disk has less of is known at once, other than the size of
    ten thousand files, and is true enough for a bar.
    """

    def __init__(self, observer: Observer, folder: Path) -> None:
        self._observer = observer
        self._folder = folder
        self.start(0.0, "", 0.0, 0.0)

    def start(self, share: float, text: str, until: float, gb: float) -> None:
        """Begin a stage.

        :param share: of the whole installation, before it.
        :param until: the same, after it.
        :param gb: what it brings to the disk (10**9 bytes); 0 if that is not worth telling.
        """
        self._share, self._text, self._until, self._gb = share, text, until, gb
        self._free, self._told = self._free_gb(), time.monotonic()
        if text:
            self._observer.on_step(share, text)

    def tick(self) -> None:
        """Tell of it, once a second."""
        if not self._gb or time.monotonic() < self._told + 1.0:
            return
        self._told = time.monotonic()
        done = min(max(self._free - self._free_gb(), 0.0), self._gb)
        share = self._share + (self._until - self._share) * done / self._gb
        text = f"{self._text}: about {1000 * done:.0f} of {1000 * self._gb:.0f} MB"
        self._observer.on_step(share, text)

    def _free_gb(self) -> float:
        try:
            return shutil.disk_usage(self._folder).free / 1e9
        except OSError:  # not made yet
            return 0.0


def _torch_lock(build: TorchBuild, target: Target) -> str:
    """The requirements of a PyTorch build; from PyPI it is locked with all that belongs to it."""
    if not build.index:
        return TORCH_LOCK.read_text("utf-8")
    digest = build.sha256.get(target.python)
    return build.requirement + (f" --hash=sha256:{digest}" if digest else "")


def _text(requirements: Iterable[Requirement]) -> str:
    return "\n".join(one.text for one in requirements)


@contextlib.contextmanager
def _file(path: Path, requirements: str) -> Iterator[Path]:
    """A requirements file for pip, for the time of the block."""
    path.write_text(requirements, "utf-8")
    yield path
    path.unlink()


def _put(fresh: Path, folder: Path) -> None:
    """Rename the new environment to its place; one that is there comes back if that fails."""
    aside = set_aside(folder) if folder.exists() else None
    try:
        json_files.replace(fresh, folder)
    except OSError as error:
        if aside:
            json_files.replace(aside, folder)
        raise SetupError(
            "environment.in_use",
            f"The new environment cannot be put into its place ({error.strerror}).",
            "Close programs that use the folder, then try again.",
            str(error),
        ) from error
    if aside:
        discard(aside)


@contextlib.contextmanager
def _log(plan: Plan, observer: Observer) -> Iterator[Observer]:
    """An observer that also writes the log of this installation; without a log it goes on too."""
    file = _open_log(plan.data / "logs")
    if file is None:
        yield observer
        return

    def on_line(line: str) -> None:
        text = f"{datetime.now().strftime('%H:%M:%S')} {line}\n"
        with contextlib.suppress(OSError):  # a full disk, of which the installation itself tells
            file.write(text.encode("utf-8", "replace"))
        observer.on_line(line)

    with file:
        on_line(f"{plan.build.title}; {plan.build.reason} From {plan.source} to {plan.folder.name}")
        try:
            yield replace(observer, on_line=on_line)
        except BaseException as error:
            code = error.code if isinstance(error, SegmentationError) else type(error).__name__
            on_line(f"-- Failed: {error} [{code}]")
            if isinstance(error, SetupError):
                name = Path(file.name).name
                error.details = f"{error.details}\nSee {name} in the folder logs.".strip()
            raise


def _open_log(folder: Path) -> BinaryIO | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("installation-*.txt"))[: -_LOGS_KEPT + 1]:
            old.unlink()
        name = datetime.now().strftime("installation-%Y%m%d-%H%M%S-%f.txt")
        return open(folder / name, "wb", buffering=0)
    except OSError:
        return None


def make_engine(
    folder: Path | None = None,
    base: Path | None = None,
    observer: Observer | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Make the engine environment that this computer needs, unless one is ready, and return the
    versions in it.

    :param folder: where; :func:`~.engine.default_folder` by default.
    :param base, observer, variables: see :func:`install`.
    :raises SetupError: what failed and what to do.
    :raises CancelledError: nothing was changed.
    """
    place = folder or default_folder()
    if not is_ready(place):
        made = install(plan(folder=folder or fixed_folder()), base, observer, variables)
        place = made.folder
    return installed_versions(place)
