"""The engine environment: whether it starts, and the packages in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from ... import remedies
from ...errors import SetupError
from ..findings import ERROR, OK, UNKNOWN, WARNING, Finding
from ..hardware import Hardware

# Without these no engine runs.
_MAIN = ("torch", "nnunetv2", "totalsegmentator")
_NAMED = 3


def environment(
    hardware: Hardware | SetupError, versions: Mapping[str, str], development: bool
) -> Finding:
    """Whether the engine is there and starts.

    :param hardware: what it said of itself, or why it said nothing.
    :param versions: of the packages in it.
    :param development: whether it holds the official package's development version.
    """
    if isinstance(hardware, SetupError):
        if hardware.code == "environment.no_answer":  # the computer may only be busy
            return Finding("environment", UNKNOWN, hardware.message, hardware.remedy)
        repair = remedies.REINSTALL_ENGINE
        return Finding("environment", ERROR, hardware.message, hardware.remedy, repair)
    version = versions.get("totalsegmentator", "")
    message = f"TotalSegmentator {version} with PyTorch {hardware.torch} is ready"
    if development:
        remedy = "If runs fail, go back to the environment before it, or install the engine again."
        message = f"{message}, in a development version that nobody has tested."
        return Finding("environment", WARNING, message, remedy, remedies.REINSTALL_ENGINE)
    return Finding("environment", OK, f"{message}.")


def packages(installed: Mapping[str, str] | None, locked: Mapping[str, str]) -> Finding:
    """Whether the packages are the ones that were tested.

    :param installed: version by name, in small letters with hyphens; None if that is not known.
    :param locked: likewise, what should be there.
    """
    if installed is None:
        message = "The engine's packages are not known."
        return Finding("packages", UNKNOWN, message)
    lost = [name for name in _MAIN if name not in installed]
    if lost:
        return Finding(
            "packages",
            ERROR,
            f"The engine lacks {' and '.join(lost)}.",
            "Install the engine again.",
            remedies.REINSTALL_ENGINE,
        )
    # What is missing is named first: without it some engines do not run.
    order = sorted(locked, key=lambda name: name in installed)
    others = [
        f"{name} {installed.get(name, 'missing')} instead of {locked[name]}"
        for name in order
        if installed.get(name) != locked[name]
    ]
    if not others:
        return Finding("packages", OK, f"All {len(locked)} packages are the tested ones.")
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return Finding(
        "packages",
        WARNING,
        f"{len(others)} of {len(locked)} packages are not the tested ones: "
        f"{', '.join(others[:_NAMED])}{more}.",
        "If runs fail, install the engine again.",
        remedies.REINSTALL_ENGINE,
    )


def installed_packages(python: Path) -> dict[str, str] | None:
    """The packages of a Python, read off its folders: it is not started.

    :return: version by name, in small letters with hyphens; None if its folders are not the usual
        ones of a virtual environment.
    """
    home = python.parent if sys.platform == "win32" else python.parent.parent
    homes = (home, python.parent.parent)
    folders = [folder for home in homes for folder in home.glob("lib*/python3*/site-packages")]
    folders += [home / "Lib" / "site-packages" for home in homes]
    there = [str(folder) for folder in folders if folder.is_dir()]
    if not there:
        return None
    found = {one.metadata["Name"]: one.version for one in distributions(path=there)}
    return {re.sub(r"[-_.]+", "-", name).lower(): v for name, v in found.items() if name}
