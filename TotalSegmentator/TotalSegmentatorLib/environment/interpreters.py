"""The Python that the engine environment is made from. See Docs/decisions/0002."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ..errors import SetupError
from .paths import import_folder, interpreter
from .virtual import Observer, observed_run

UV = "uv>=0.8"


def base_interpreter(
    folder: Path,
    version: str,
    observer: Observer,
    variables: Mapping[str, str] | None = None,
) -> Path:
    """An interpreter that can make virtual environments.

    A standalone Python (also inside a virtual environment) makes its own. An application that
    embeds Python, as Slicer does, cannot: there uv, fetched by the application's own pip into
    ``folder``, gets a private one.

    :param folder: where a private interpreter and uv may be put.
    :param version: wanted version of a private one, e.g. ``3.12``.
    :param variables: environment variables for uv; those of this process by default.
    :raises SetupError: ``environment.no_interpreter``.
    """
    if not embedded():
        return Path(sys.executable)
    return _managed_interpreter(folder, version, observer, variables)


def embedded() -> bool:
    """True inside an application that brings its own Python, whose executable is not Python's."""
    # "python-real" and "PythonSlicer" are Slicer's; "python3.12" and "pythonw" are Python's.
    return not re.fullmatch(r"python(w|[\d.]*)", Path(sys.executable).stem.lower())


def application_python() -> Path:
    """The command-line Python of the application: beside its executable (Slicer: PythonSlicer)."""
    suffix = ".exe" if sys.platform == "win32" else ""
    here = Path(sys.executable).parent
    for name in ("PythonSlicer", "python-real", "python3", "python"):
        if (here / (name + suffix)).is_file():
            return here / (name + suffix)
    raise _no_interpreter("the application's own Python was not found")


def _managed_interpreter(
    folder: Path, version: str, observer: Observer, variables: Mapping[str, str] | None
) -> Path:
    def call(command: list[str | Path], variables: Mapping[str, str] | None) -> None:
        code, lines = observed_run(command, observer, import_folder(), variables)
        if code:
            raise _no_interpreter("\n".join(lines[-40:]))

    folder = folder.absolute()  # the commands have another working folder
    folder.mkdir(parents=True, exist_ok=True)
    tools = folder / "tools"
    observer.on_step(0.0, "Getting a private Python")
    # The application's Python is the only one that needs the application's own variables.
    install_uv = ["-m", "pip", "install", "--target", tools, "--upgrade", UV]
    call([application_python(), *install_uv], None)
    uv = tools / "bin" / ("uv.exe" if sys.platform == "win32" else "uv")
    places = {
        "UV_PYTHON_INSTALL_DIR": str(folder / "python"),  # also where the next command looks
        "UV_CACHE_DIR": str(folder / "uv-cache"),
    }
    variables = {**(os.environ if variables is None else variables), **places}
    # Nothing outside the folder: no link in the user's bin folder, no entry in Windows' registry.
    call([uv, "python", "install", "--no-bin", "--no-registry", version], variables)
    base = folder / "base"
    call([uv, "venv", "--clear", "--python", version, "--managed-python", base], variables)
    return interpreter(base)


def _no_interpreter(details: str) -> SetupError:
    return SetupError(
        "environment.no_interpreter",
        "A private Python for the engine could not be got.",
        "Check the internet connection, or choose an existing Python 3.10 to 3.13.",
        details,
    )
