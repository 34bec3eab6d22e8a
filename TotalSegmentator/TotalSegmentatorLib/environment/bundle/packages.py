"""Getting the engine's packages as they are published, for this computer or for another one.

pip downloads them: it knows the index, the proxy and the certificates of this computer, and it can
be told for which system. It would read conditions in a package's description for this computer
though, so it is given complete lists, which follow from the lock.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...errors import SetupError
from ..drivers import NONE
from ..environments import folder_size
from ..installers import Console, Source, for_pip, for_uv, get_uv, pip_configuration
from ..interpreters import pip_python
from ..lock import (
    ENGINE_LOCK,
    INSTALLER_LOCK,
    TORCH_LOCK,
    Target,
    locked_versions,
    read_lock,
    required,
    specification,
    this_target,
)
from ..network import download
from ..observer import Observer
from ..paths import user_data_folder
from ..settings import load_settings
from ..torch_builds import TorchBuild

# What pip says of a package that it does not find.
_MISSING = r"No matching distribution found for ([^\s(]+)"


@dataclass(frozen=True)
class Platform:
    """A kind of computer that bundles are made for.

    :param title: for people.
    :param system: its ``sys.platform`` and ``platform.machine()``.
    :param tags: pip's names of what runs there.
    :param uv_name: how uv's names of Pythons for it end.
    """

    title: str
    system: tuple[str, str]
    tags: tuple[str, ...]
    uv_name: str


def _linux(machine: str) -> tuple[str, ...]:
    """The C library of 2018, which PyTorch needs, and all before it."""
    return (f"manylinux2014_{machine}", *(f"manylinux_2_{n}_{machine}" for n in range(5, 29)))


#: By the names that people use.
PLATFORMS = {
    "linux": Platform(
        "Linux", ("linux", "x86_64"), (*_linux("x86_64"), "linux_x86_64"), "linux-x86_64-gnu"
    ),
    "linux-arm": Platform(
        "Linux on ARM", ("linux", "aarch64"), _linux("aarch64"), "linux-aarch64-gnu"
    ),
    "windows": Platform("Windows", ("win32", "AMD64"), ("win_amd64",), "windows-x86_64-none"),
    "macos": Platform("macOS", ("darwin", "arm64"), ("macosx_14_0_arm64",), "macos-aarch64-none"),
}


def title_of(system: str) -> str:
    """What people call a system, given as :attr:`~..lock.Target.system`."""
    titles = {"-".join(one.system): one.title for one in PLATFORMS.values()}
    return titles.get(system, system)


def own_platform() -> str:
    """The name of this computer's platform; empty if bundles cannot be made for such a one."""
    own = this_target().system
    return next((name for name, one in PLATFORMS.items() if "-".join(one.system) == own), "")


@dataclass(frozen=True)
class Packages:
    """The engine in a bundle.

    :param platform: what it is for.
    :param python: version of the Python there, e.g. ``3.12``.
    :param build: the PyTorch.
    :param with_python: whether a Python comes along, which an installation inside Slicer needs.
    """

    platform: Platform
    python: str
    build: TorchBuild
    with_python: bool = True

    @property
    def target(self) -> Target:
        """The computer that it is for."""
        return Target(*self.platform.system, self.python)

    @property
    def download_mb(self) -> int:
        """About how much must be downloaded (10**6 bytes)."""
        return int(specification()["download_mb"]) + self.build.download_mb

    @property
    def needs_libraries(self) -> bool:
        """Whether its PyTorch comes with the libraries of a GPU as packages that are not locked."""
        loose = self.build.index and self.build.kind != NONE
        return bool(loose) and self.target.platform != "win32"  # there they are part of PyTorch


def fetch_packages(packages: Packages, folder: Path, work: Path, observer: Observer) -> None:
    """Put all packages into a folder, as they are published.

    :param folder: an empty one, below ``work``.
    :param work: a folder for temporary files; how much is in it shows how far it is.
    :raises SetupError: ``bundle.no_package``, ``bundle.wrong_computer``, or what pip said.
    :raises CancelledError: if the observer says so.
    """
    build, known = packages.build, specification()
    if packages.needs_libraries and packages.target.system != this_target().system:
        raise SetupError(
            "bundle.wrong_computer",
            f"A bundle with {build.title} for {packages.platform.title} can be made on such a "
            "computer only.",
            "Make it there, or choose another PyTorch.",
        )
    locks = [ENGINE_LOCK, INSTALLER_LOCK] + ([] if build.index else [TORCH_LOCK])
    needed = [one.text for lock in locks for one in required(read_lock(lock), packages.target)]
    order = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    order += ["--no-binary", ",".join(known["source_packages"])]
    pip = _Pip(packages, folder, work, observer)
    pip.download(needed, order, Source(load_settings().package_index))
    if build.index:
        _fetch_torch(packages, pip)


def _fetch_torch(packages: Packages, pip: _Pip) -> None:
    """A PyTorch that is not locked, with the libraries of its GPUs."""
    build, target = packages.build, packages.target
    order = ["--only-binary", ":all:", *([] if packages.needs_libraries else ["--no-deps"])]
    digest = build.sha256.get(target.python)
    wanted = [build.requirement + (f" --hash=sha256:{digest}" if digest else "")]
    constraints = [f"{name}=={version}" for name, version in locked_versions(target).items()]
    # An administrator's own folders with wheels go before a public index.
    here = Source(find_links=(str(pip.folder),), no_index=True)
    try:
        pip.download(wanted, order, here, constraints)
    except SetupError as error:
        if error.code != "bundle.no_package":
            raise
        pip.download(
            wanted, order, replace(here, no_index=False, index=build.index, only=True), constraints
        )


def fetch_python(packages: Packages, folder: Path, observer: Observer) -> None:
    """Put a Python into a folder, in which uv will find it.

    :raises SetupError: ``bundle.no_python``.
    :raises CancelledError: if the observer says so.
    """
    try:
        _fetch_python(packages, folder, observer)
    except SetupError as error:
        raise SetupError(
            "bundle.no_python",
            f"The Python for an installation inside Slicer could not be got: {error.message}",
            "Allow that download, or leave this Python out (--no-python); it is not needed "
            "elsewhere.",
            error.details,
        ) from error


def _fetch_python(packages: Packages, folder: Path, observer: Observer) -> None:
    console, source = Console(observer), Source(load_settings().package_index)
    uv = get_uv(pip_python(), user_data_folder(), console, source)
    command = [uv, "python", "list", "--only-downloads", "--all-platforms", "--all-arches"]
    command += ["--show-urls", "--output-format", "json", packages.python]
    lines = for_uv(console).run(command, "looking for a Python")
    known = json.loads(next(line for line in lines if line.startswith("[")))
    key = rf"cpython-{re.escape(packages.python)}\.\d+-{packages.platform.uv_name}"
    url = next(one["url"] for one in known if re.fullmatch(key, one["key"]))
    release, name = urlsplit(url).path.split("/")[-2:]
    title = f"Python {packages.python}"
    download(url, folder / release / unquote(name), title=title, observer=observer)


@dataclass(frozen=True)
class _Pip:
    """Downloads into a folder what another computer needs."""

    packages: Packages
    folder: Path
    work: Path
    observer: Observer

    def download(
        self,
        wanted: Sequence[str],
        order: Sequence[str],
        source: Source,
        constraints: Sequence[str] = (),
    ) -> None:
        """
        :param wanted: the lines of a requirements file.
        :param order: arguments of ``pip download``.
        :param constraints: the lines of a constraints file.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # On this disk: some systems keep temporary files in memory, and these are large.
        with tempfile.TemporaryDirectory(dir=self.work) as name:
            place = Path(name)
            (place / "wanted.txt").write_text("\n".join(wanted), "utf-8")
            (place / "constraints.txt").write_text("\n".join(constraints), "utf-8")
            command = [pip_python(), "-m", "pip", "download", "--disable-pip-version-check"]
            command += ["--no-input", "--progress-bar", "off", "--dest", self.folder]
            command += ["--python-version", self.packages.python]
            command += [f"--platform={tag}" for tag in self.packages.platform.tags]
            command += [*source.arguments, *order, "-r", place / "wanted.txt"]
            command += ["--constraint", place / "constraints.txt"]
            more = {**dict.fromkeys(("TMPDIR", "TEMP", "TMP"), name), **source.pip_variables}
            console = Console(self.observer, on_wait=self._tell)
            console = for_pip(console, pip_configuration(pip_python(), console))
            try:
                console.run(command, "getting the packages", more)
            except SetupError as error:
                missing = re.search(_MISSING, error.details)
                # pip says the same where an index could not be reached, but not that alone.
                if not missing or error.code != "environment.package_missing":
                    raise
                raise self._no_package(missing[1], error.details) from error

    def _tell(self) -> None:
        total = self.packages.download_mb
        done = folder_size(self.work) / 1e6
        text = f"Getting the packages: {done:.0f} of about {total} MB"
        self.observer.on_step(min(1.0, done / total), text)

    def _no_package(self, requirement: str, details: str) -> SetupError:
        title, python = self.packages.platform.title, self.packages.python
        return SetupError(
            "bundle.no_package",
            f"There is no package {requirement} for {title} with Python {python}.",
            "Choose another version of Python or another PyTorch.",
            details,
        )
