"""What can be known before anything is downloaded: whether an installation can succeed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import SetupError
from ..jobs import processes
from .environments import is_environment
from .findings import ERROR, OK, WARNING, Finding
from .hardware import memory
from .hosts import hosts
from .interpreters import embedded
from .network import is_online
from .paths import import_folder

OLDEST, NEWEST = (3, 10), (3, 13)
_LITTLE_MEMORY_GB = 7.5
# The longest path below an environment, in PyTorch's headers, has some 170 letters; Windows takes
# 260 unless it was told otherwise.
_LONGEST_WINDOWS_PATH = 85
# What an error finding means as an error, by its check.
_CODES = {
    "disk": "disk.full",
    "folder": "environment.not_ours",
    "write access": "environment.not_writable",
    "interpreter": "environment.no_interpreter",
    "bundle": "environment.no_bundle",
    "path": "environment.path_too_long",
}


def check_all(
    folder: Path,
    disk_gb: float,
    index: str,
    bundle: Path | None,
    base: Path | None,
    variables: Mapping[str, str] | None,
) -> tuple[Finding, ...]:
    """All checks, in the order in which people should read them.

    :param folder: where the environment will lie.
    :param disk_gb: space needed (10**9 bytes).
    :param index: the package index, if the user has set one.
    :param bundle: a folder with ``wheels``, or None.
    :param base: the interpreter to make it from; None means one that can be had.
    """
    return (
        check_folder(folder),
        check_access(folder),
        check_disk(folder, disk_gb),
        check_memory(),
        check_interpreter(base, variables),
        check_bundle(bundle) if bundle else check_network(index),
        check_path(folder),
    )


def stop_at_errors(findings: Iterable[Finding]) -> None:
    """Make the first error finding an exception.

    :raises SetupError: ``disk.full``, ``environment.*``.
    """
    for one in findings:
        if one.state == ERROR:
            raise SetupError(_CODES[one.check], one.message, one.remedy)


def check_folder(folder: Path) -> Finding:
    """That the place is free, or an environment to be replaced."""
    try:
        free = not folder.exists() or is_environment(folder) or not os.listdir(folder)
    except OSError:
        free = False
    if free:
        return Finding("folder", OK, f"{folder.name} can be made.")
    return Finding(
        "folder",
        ERROR,
        f"The folder {folder.name} holds something else.",
        "Name a new or an empty folder.",
    )


def check_access(folder: Path) -> Finding:
    """That files can be made beside the environment."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".try-"):
            pass
    except OSError as error:
        return Finding(
            "write access",
            ERROR,
            f"The folder for {folder.name} cannot be written to ({error.strerror}).",
            "Choose a folder that you may write to.",
        )
    return Finding("write access", OK, "The folder can be written to.")


def check_disk(folder: Path, needed_gb: float) -> Finding:
    """That there is space; what is free of a disk that does not tell is taken as enough."""
    try:
        free_gb = shutil.disk_usage(_existing(folder)).free / 1e9
    except OSError:
        return Finding("disk", WARNING, "The free disk space is not known.")
    if free_gb < needed_gb:
        return Finding(
            "disk",
            ERROR,
            f"{folder.name} needs {needed_gb:.1f} GB, and {free_gb:.1f} GB are free.",
            "Free some space or choose another disk.",
        )
    return Finding("disk", OK, f"{free_gb:.0f} GB are free, {needed_gb:.1f} GB are needed.")


def check_memory() -> Finding:
    """That runs will have memory."""
    total_gb = memory()[0] / 1e9
    if total_gb < _LITTLE_MEMORY_GB:
        return Finding(
            "memory",
            WARNING,
            f"This computer has {total_gb:.0f} GB of memory, which is enough for small volumes "
            "and fast speeds only.",
            "Use fast speeds, or a computer with 16 GB.",
        )
    return Finding("memory", OK, f"This computer has {total_gb:.0f} GB of memory.")


def check_interpreter(base: Path | None, variables: Mapping[str, str] | None) -> Finding:
    """That the environment can be made from an interpreter."""
    if base is None and embedded():
        return Finding("interpreter", OK, "A private Python will be downloaded.")
    base = base or Path(sys.executable)
    found = python_version(base, variables)
    span = f"{_dotted(OLDEST)} to {_dotted(NEWEST)}"
    if found is None:
        return Finding(
            "interpreter",
            ERROR,
            f"{base.name} is not a Python that can be started.",
            f"Give another interpreter, Python {span}.",
        )
    if not OLDEST <= found <= NEWEST:
        message = f"Python {_dotted(found)} cannot be used."
        return Finding("interpreter", ERROR, message, f"Use Python {span}.")
    return Finding("interpreter", OK, f"Python {_dotted(found)} can be used.")


def python_version(
    python: Path, variables: Mapping[str, str] | None = None
) -> tuple[int, int] | None:
    """The version of an interpreter; None if it cannot be started or is none."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-c", code],
            env=processes.clean_variables(variables),
            cwd=import_folder(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        major, minor = (int(number) for number in answer.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return major, minor


def check_network(index: str) -> Finding:
    """That the package index can be reached; what is at hand may do without, so it is no error."""
    if index:
        return Finding("network", OK, "The package index that was set is used.")
    if is_online("packages"):
        return Finding("network", OK, "The package index can be reached.")
    return Finding(
        "network",
        WARNING,
        f"{hosts('packages')[0]} cannot be reached.",
        "Check the internet connection and the proxy, or install from a bundle.",
    )


def check_bundle(bundle: Path) -> Finding:
    """That the bundle holds packages."""
    if any((bundle / "wheels").glob("*.whl")):
        return Finding("bundle", OK, f"The packages come from {bundle.name}.")
    return Finding(
        "bundle",
        ERROR,
        f"{bundle.name} holds no packages.",
        "Give a folder that was made from a bundle.",
    )


def check_path(folder: Path) -> Finding:
    """That the name of the place is no trouble, which it can be on Windows alone."""
    if sys.platform == "win32":
        if len(str(folder)) > _LONGEST_WINDOWS_PATH:
            return Finding(
                "path",
                ERROR,
                f"The path of the folder has {len(str(folder))} letters, and Windows limits paths.",
                f"Choose one with {_LONGEST_WINDOWS_PATH} letters at most.",
            )
        if not str(folder).isascii():
            return Finding(
                "path",
                WARNING,
                "The path of the folder has letters that some libraries do not find.",
                "If the installation fails, choose a folder with plain letters only.",
            )
    return Finding("path", OK, "The path of the folder can be used.")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
