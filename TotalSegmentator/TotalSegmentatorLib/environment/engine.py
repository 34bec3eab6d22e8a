"""The engine environment: an interpreter of its own with PyTorch and TotalSegmentator.

It lies apart from the application's Python, whose packages must never change (and cannot even
share a VTK with the engine's). :func:`.installation.install` is the one way to it: the command
line, Apply and ``setupPythonRequirements`` all end there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SetupError
from ..jobs import EngineCommand
from ..jobs.processes import clean_variables
from .environments import READY, Environments, fixed_folder, read_environment
from .paths import import_folder, interpreter

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


@dataclass(frozen=True)
class EngineEnvironment:
    """An interpreter that can run engines.

    :param python: the interpreter.
    :param variables: environment variables to start from; None means those of this process.
    """

    python: Path
    variables: Mapping[str, str] | None = field(default=None, repr=False, hash=False)

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


def default_folder() -> Path:
    """Where the engine environment lies: :func:`fixed_folder`, or the one in use of the user's
    environments (as in Slicer). It need not be there."""
    folder = fixed_folder()
    if folder:
        return folder
    known = Environments()
    current = known.current()
    return current.folder if current else known.root / "none"


def is_ready(folder: Path) -> bool:
    """Whether the engine environment in this folder is whole and up to date, or was chosen."""
    known = Environments()
    if folder.parent == known.root:
        return any(one.folder == folder and one.state == READY for one in known.all())
    return read_environment(folder).state == READY


def installed_versions(folder: Path) -> dict[str, str]:
    """Python and the main packages in this folder's environment, as they were when it was made."""
    return dict(read_environment(folder).versions)


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
