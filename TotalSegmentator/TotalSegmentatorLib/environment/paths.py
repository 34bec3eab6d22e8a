"""Where things are kept on this computer."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

APPLICATION = "TotalSegmentator"


def user_data_folder() -> Path:
    """The folder for this user's data, by the custom of the operating system; not created."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / APPLICATION
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / APPLICATION
    return Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share")) / APPLICATION


def official_folder(variables: Mapping[str, str] | None = None) -> Path:
    """Where the official package keeps its settings and weights, by its own rules.

    :param variables: environment variables of the engine; None: those of this process.
    """
    variables = os.environ if variables is None else variables
    if variables.get("TOTALSEG_HOME_DIR"):
        return Path(variables["TOTALSEG_HOME_DIR"])
    home = Path.home()
    return (Path("/tmp") if home == Path("/") else home) / ".totalsegmentator"


def import_folder() -> Path:
    """The folder that this library is imported from.

    It is also the working folder of other Pythons, which may import from theirs before all else:
    who can write to this one has this library run their code anyway.
    """
    return Path(__file__).absolute().parents[2]


def resources_folder() -> Path:
    """``Resources`` beside the library: icons, UI, terminology, the demo model."""
    return import_folder() / "Resources"


def interpreter(environment: Path) -> Path:
    """The Python of a virtual environment."""
    if sys.platform == "win32":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"
