"""What can be known before anything is downloaded: whether an installation can succeed here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import SetupError
from ..jobs import processes
from . import connection, places
from .drivers import system_hindrance
from .environments import may_replace
from .findings import ERROR, OK, Finding
from .hardware import memory
from .interpreters import embedded
from .paths import import_folder
from .settings import UserSettings

OLDEST, NEWEST = (3, 10), (3, 13)
# What an error finding means as an error, by its check.
_CODES = {
    "folder": "environment.not_ours",
    "folder.engine": "environment.not_writable",
    "disk": "disk.full",
    "interpreter": "environment.no_interpreter",
    "bundle": "environment.no_bundle",
}


def check_all(
    folder: Path,
    disk_gb: float,
    bundle: Path | None,
    base: Path | None,
    variables: Mapping[str, str] | None,
) -> tuple[Finding, ...]:
    """All checks for which nobody is asked, in the order in which people should read them.

    :param folder: where the environment will lie.
    :param disk_gb: space needed (10**9 bytes).
    :param bundle: a folder with ``wheels``, or None.
    :param base: the interpreter to make it from; None means one that can be had.
    """
    room = places.look_at(places.engine_place(folder, disk_gb, "choose another folder"))
    found = (
        check_folder(folder),
        places.folder(room),
        places.disk([room]),
        places.memory(*memory()),
        check_interpreter(base, variables),
    )
    return (*found, check_bundle(bundle)) if bundle else found


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
        free = not os.path.lexists(folder) or not os.listdir(folder) or may_replace(folder)
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


def check_interpreter(base: Path | None, variables: Mapping[str, str] | None) -> Finding:
    """That an interpreter can run the packages on this system."""
    hindrance = system_hindrance()
    if hindrance:
        remedy = "Use another computer, or a newer version of its system."
        return Finding("interpreter", ERROR, hindrance, remedy)
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
    """That the package index can be reached; what is at hand may do without, so it is no error.

    :param index: the one that the user has set; empty for the public one.
    """
    addresses = connection.addresses(UserSettings(package_index=index), ["packages"])
    return connection.answers(connection.problems(addresses))


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


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
