"""The engine environment: an interpreter of its own with PyTorch and TotalSegmentator.

It lies apart from the application's Python, whose packages must never change (and cannot even
share a VTK with the engine's). :func:`make_engine` is the one way to it: the command line, Apply
and ``setupPythonRequirements`` all call it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import SetupError
from ..jobs import EngineCommand
from ..jobs.processes import clean_variables
from . import virtual
from .interpreters import base_interpreter
from .paths import import_folder, interpreter, user_data_folder
from .virtual import Observer, Recipe, Step, make, marker

_WORKER = "TotalSegmentatorLib.engines.worker"
_WORKER_VARIABLES = {
    # A network asks for gigabytes and gives them back, layer by layer. By its default the C library
    # gets them from the system each time, which fills every page with zeros: half of the time on a
    # CPU. With these settings it uses them again, in large pages; the results are the same.
    "linux": {
        "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:"
        "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=268435456"
    },
    # What PyTorch cannot do on an Apple GPU is done on the CPU instead of not at all.
    "darwin": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"},
}
_CHECK = """
import json, importlib.metadata, platform, torch, nibabel, SimpleITK, nnunetv2
names = "torch", "nnunetv2", "TotalSegmentator", "nibabel", "numpy", "scipy"
versions = {name: importlib.metadata.version(name) for name in names}
print(json.dumps({"python": platform.python_version(), **versions}))
"""


@dataclass(frozen=True)
class EngineEnvironment:
    """An interpreter that can run engines.

    :param python: the interpreter.
    :param variables: environment variables to start from; None means those of this process.
    """

    python: Path
    variables: Mapping[str, str] | None = field(default=None, repr=False)

    def command(
        self, extra: Mapping[str, str] | None = None, module: str = _WORKER
    ) -> EngineCommand:
        """How to start the engine process.

        :param extra: further environment variables, e.g. ``TOTALSEG_WEIGHTS_PATH``.
        :param module: what it runs, if not the worker that serves runs.
        """
        variables = clean_variables(self.variables)
        variables["PYTHONPATH"] = str(import_folder())
        if module == _WORKER:
            variables = {**_WORKER_VARIABLES.get(sys.platform, {}), **variables}
        variables.update(extra or {})
        return EngineCommand([self.python, "-m", module], variables)


@cache
def _requirements() -> Mapping[str, Any]:
    path = Path(__file__).parent / "data" / "engine-requirements.json"
    return json.loads(path.read_text("utf-8"))


def recipe() -> Recipe:
    """What the engine environment holds; the requirements are data beside this file."""
    values = _requirements()
    steps = [Step(step["text"], step["requirements"]) for step in values["steps"]]
    return Recipe(steps, _CHECK, values["disk_gb"])


def default_folder() -> Path:
    """Where the engine environment lies: ``.venv-engine`` beside a running ``.venv``, else with
    the user's data (as in Slicer)."""
    beside = Path(sys.prefix).parent / ".venv-engine"
    if Path(sys.prefix).name == ".venv":
        return beside
    return user_data_folder() / "engine"


def make_engine(
    folder: Path | None = None,
    base: Path | None = None,
    observer: Observer | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Make the engine environment unless it is there, and return the versions in it.

    :param folder: where; :func:`default_folder` by default.
    :param base: the interpreter to make it from; by default the running one, or a private one
        inside an application that brings its own Python (Slicer).
    :param variables: environment variables to start from; an application with library paths of
        its own (Slicer) passes those it was started with.
    :raises SetupError: what failed and what to do.
    :raises CancelledError: nothing was changed.
    """
    folder = folder or default_folder()
    observer = observer or Observer()
    if is_ready(folder):
        return marker(folder)["checked"]
    version = _requirements()["python"]
    base = base or base_interpreter(folder.parent, version, observer, variables)
    return make(folder, recipe(), base, observer, variables)


def is_ready(folder: Path) -> bool:
    """Whether the engine environment in this folder is whole and up to date."""
    return virtual.is_ready(folder, recipe())


def installed_versions(folder: Path) -> dict[str, str]:
    """Python and the packages in this folder's environment, as they were when it was made."""
    return dict(marker(folder).get("checked", {}))


def find_engine(
    python: Path | None = None, variables: Mapping[str, str] | None = None
) -> EngineEnvironment:
    """The engine environment to use.

    :param python: an interpreter that the user named, which is then used as it is.
    :raises SetupError: ``environment.no_interpreter`` or ``environment.missing``.
    """
    if python is not None:
        if not python.is_file():
            raise SetupError(
                "environment.no_interpreter",
                f"There is no interpreter {python.name} at the place given.",
                "Name the python of an environment with TotalSegmentator.",
            )
        return EngineEnvironment(python.absolute(), variables)
    folder = default_folder()
    if not is_ready(folder):
        outdated = "is out of date" if folder.exists() else "is not installed"
        raise SetupError(
            "environment.missing",
            f"The engine (PyTorch and TotalSegmentator) {outdated}.",
            "Run the setup first: 'slicer-totalsegmentator setup', or Apply in Slicer.",
        )
    return EngineEnvironment(interpreter(folder).absolute(), variables)
