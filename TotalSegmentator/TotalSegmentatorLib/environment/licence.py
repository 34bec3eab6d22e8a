"""The TotalSegmentator licence number, which some tasks need."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import SetupError
from ..jobs.processes import clean_variables
from .engine import EngineEnvironment
from .paths import import_folder

_STORE = """
import sys
from totalsegmentator import config
config.setup_totalseg()
config.set_license_number(sys.stdin.readline().strip())
"""
_TIMEOUT_S = 60


def check_licence(tasks: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Fail early if tasks need a licence number and none is stored; the engine checks the number.

    :param tasks: titles of the tasks that need one.
    :param variables: environment variables of the engine, which may say where settings lie; None:
        those of this process.
    :raises SetupError: ``licence.missing``.
    """
    if not tasks or has_licence(variables):
        return
    raise SetupError(
        "licence.missing",
        f"A TotalSegmentator licence number is needed for {', '.join(tasks)}, and none is stored.",
        "Get one (free for non-commercial use) and store it.",
    )


def has_licence(variables: Mapping[str, str] | None = None) -> bool:
    """Whether a licence number is stored; whether it is valid, only the engine can tell.

    :param variables: see :func:`check_licence`.
    """
    return bool(_stored_number(os.environ if variables is None else variables))


def _stored_number(variables: Mapping[str, str]) -> str:
    home = variables.get("TOTALSEG_HOME_DIR") or Path.home() / ".totalsegmentator"
    try:
        settings = json.loads((Path(home) / "config.json").read_text("utf-8"))
        return str(settings.get("license_number") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def store_licence(engine: EngineEnvironment, number: str) -> None:
    """Have the official package check a licence number online and store it.

    The number goes through standard input: arguments are visible to all users of a computer. What
    the package prints is not kept, since it may repeat the number.

    :raises SetupError: ``licence.invalid``, ``environment.no_interpreter``.
    """
    try:
        answer = subprocess.run(
            [engine.python, "-c", _STORE],
            input=number.strip() + "\n",
            env=clean_variables(engine.variables),
            cwd=import_folder(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(
            "licence.not_stored",
            f"The licence number could not be checked ({type(error).__name__}).",
            "Check the internet connection and the setup, then try again.",
        ) from None
    if answer.returncode:
        raise SetupError(
            "licence.invalid",
            "The licence number was not accepted.",
            "Check the number and the internet connection, then try again.",
        )
