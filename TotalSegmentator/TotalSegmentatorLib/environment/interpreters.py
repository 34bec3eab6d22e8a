"""The Python that the engine environment is made from. See Docs/decisions/0002."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from ..errors import SetupError
from .environments import DOWNLOADS
from .installers import Console, Source, for_uv, get_uv
from .lock import specification
from .paths import interpreter


def base_interpreter(data: Path, console: Console, source: Source) -> Path:
    """An interpreter that can make virtual environments.

    A standalone Python (also inside a virtual environment) makes its own. An application that
    embeds Python, as Slicer does, cannot: there uv gets a private one.

    :param data: where a private interpreter and uv may be put.
    :param source: where uv comes from.
    :raises SetupError: ``environment.no_interpreter``.
    """
    if not embedded():
        return Path(sys.executable)
    try:
        return _managed_interpreter(data.absolute(), console, source)
    except SetupError as error:
        raise _no_interpreter(f"{error.message}\n{error.details}") from error


def embedded() -> bool:
    """True inside an application that brings its own Python, whose executable is not Python's."""
    # "python-real" and "PythonSlicer" are Slicer's; "python3.12" and "pythonw" are Python's.
    return not re.fullmatch(r"python(w|[\d.]*)", Path(sys.executable).stem.lower())


def pip_python() -> Path:
    """A Python whose pip can fetch uv: this one, or inside an application (Slicer: PythonSlicer)
    the command-line Python beside its executable.

    :raises SetupError: ``environment.no_interpreter``.
    """
    if not embedded():
        return Path(sys.executable)
    suffix = ".exe" if sys.platform == "win32" else ""
    here = Path(sys.executable).parent
    for name in ("PythonSlicer", "python-real", "python3", "python"):
        if (here / (name + suffix)).is_file():
            return here / (name + suffix)
    raise _no_interpreter("the application's own Python was not found")


def absolute_program(python: Path) -> Path:
    """Where an interpreter lies that was named by its place here or its name on the search path:
    commands work in another folder."""
    return Path(shutil.which(python) or python).absolute()


def pip_console(console: Console) -> Console:
    """What runs :func:`pip_python`: an application's Python is the only one that needs the
    application's own variables."""
    return Console(console.observer) if embedded() else console


def _managed_interpreter(data: Path, console: Console, source: Source) -> Path:
    uv = get_uv(pip_python(), data, pip_console(console), source)
    console = for_uv(console)
    version = specification()["python"]
    places = {
        "UV_PYTHON_INSTALL_DIR": str(data / "python"),  # also where the next command looks
        "UV_CACHE_DIR": str(data / DOWNLOADS),
    }
    what = "getting a private Python"
    # Nothing outside the folder: no link in the user's bin folder, no entry in Windows' registry.
    console.run([uv, "python", "install", "--no-bin", "--no-registry", version], what, places)
    base = data / "base"
    command = [uv, "venv", "--clear", "--python", version, "--managed-python", base]
    console.run(command, what, places)
    return interpreter(base)


def _no_interpreter(details: str) -> SetupError:
    return SetupError(
        "environment.no_interpreter",
        "A private Python for the engine could not be got.",
        "Check the internet connection, or choose an existing Python 3.10 to 3.13.",
        details,
    )
