"""What differs between the versions of Slicer, 5.10 to the preview, and slicer-core.

All that this extension needs of Slicer and that not every version has stands here. Nothing else
asks for a version: what is there is used, and what is missing has an answer of its own.
"""

from __future__ import annotations

import importlib

import slicer
import slicer.util


def startup_variables() -> dict[str, str] | None:
    """The variables that Slicer was started with: its own library paths break another Python.

    :return: None on slicer-core, which has no application and no variables of its own.
    """
    if not hasattr(slicer, "app") or not hasattr(slicer.app, "startupEnvironment"):
        return None
    return slicer.util.startupEnvironment()


def other_installation_running() -> bool:
    """Whether Slicer's own pip is installing packages at this moment.

    Slicer 5.12 and later install in the background. Earlier versions wait for the end, so that
    nobody can ask in the meantime.
    """
    try:
        packaging = importlib.import_module("slicer.packaging")
    except ModuleNotFoundError:
        return False
    running = getattr(packaging, "isPipInstallInProgress", None)
    return running is not None and bool(running())
