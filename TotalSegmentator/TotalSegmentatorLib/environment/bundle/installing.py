"""Installing from a bundle: without any network, and only if all of it is what it should be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ... import __version__
from ...errors import SetupError
from ...jobs.workspace import workspace
from .. import installation
from ..environments import Environment
from ..interpreters import embedded
from ..lock import lock_version, specification, this_target
from ..network import FULL_DISK, check_space
from ..observer import Observer
from ..paths import user_data_folder
from ..weights import WeightsEntry, import_weights
from .contents import PYTHON, WEIGHTS, Contents, read, unpack
from .packages import title_of

# Of the time that all takes: copying out, and installing the engine; the rest is for weights.
_UNPACKED, _INSTALLED = 0.2, 0.8


@dataclass(frozen=True)
class Installed:
    """What a bundle brought.

    :param environment: the engine; None if the bundle holds none.
    :param weights: the models in the bundle, also those that were there before.
    """

    environment: Environment | None
    weights: tuple[WeightsEntry, ...]


def check_fits(path: Path, contents: Contents) -> None:
    """Compare what a bundle's packages are for with this computer.

    :param path: the bundle, for the message.
    :raises SetupError: ``bundle.other_version``, ``bundle.other_system``, ``bundle.other_python``.
    """
    if not contents.lock:
        return  # weights are for every computer
    here = this_target(specification()["python"] if embedded() else "")
    if contents.lock != lock_version():
        raise SetupError(
            "bundle.other_version",
            f"The bundle {path.name} was made by version {contents.product} of the extension, and "
            f"this is {__version__}, which needs other packages.",
            "Use the same version on both computers.",
        )
    if contents.system != here.system:
        raise SetupError(
            "bundle.other_system",
            f"The bundle {path.name} is for {title_of(contents.system)}, and this is "
            f"{title_of(here.system)}.",
            "Make one for this kind of computer, with --platform.",
        )
    if contents.python != here.python:
        raise SetupError(
            "bundle.other_python",
            f"The bundle {path.name} is for Python {contents.python}, and here Python "
            f"{here.python} is needed.",
            f"Make one with --python {here.python}.",
        )


def install(
    path: Path,
    weights: Path,
    folder: Path | None = None,
    observer: Observer | None = None,
    variables: Mapping[str, str] | None = None,
    force: bool = False,
) -> Installed:
    """Install the engine and the weights that are in a bundle.

    Nothing is installed before every byte of the bundle was compared with its list. The engine is
    then there as a whole or not at all, and so is each model.

    :param path: the bundle.
    :param weights: the weights folder.
    :param folder: for the engine; by default among the user's environments.
    :param variables: see :func:`~..installation.install`.
    :param force: see :func:`~..installation.install`.
    :raises SetupError: ``bundle.*``, and see :func:`~..installation.install` and
        :func:`~..weights.import_weights`.
    :raises CancelledError: if the observer says so.
    """
    observer = observer or Observer()
    contents = read(path)
    check_fits(path, contents)
    place = folder.absolute().parent if folder else user_data_folder()
    environment: Environment | None = None
    found: tuple[WeightsEntry, ...] = ()
    with _unpacked(path, contents, place, observer.part(0, _UNPACKED)) as files:
        if contents.lock:
            plan = installation.plan(contents.torch_build, folder, bundle=files)
            plan = replace(plan, source=f"the bundle {path.name}")
            part = observer.part(_UNPACKED, _INSTALLED)
            if contents.within(PYTHON):
                given = os.environ if variables is None else variables
                variables = {**given, "UV_PYTHON_INSTALL_MIRROR": (files / PYTHON).as_uri()}
            environment = installation.install(plan, None, part, variables, force)
        if contents.within(WEIGHTS):
            part = observer.part(_INSTALLED, 1)
            found = import_weights(files / WEIGHTS, weights, part)
    observer.on_step(1.0, "Ready")
    return Installed(environment, found)


@contextmanager
def _unpacked(path: Path, contents: Contents, place: Path, observer: Observer) -> Iterator[Path]:
    """The files of a bundle in a folder that is gone at the end."""
    with ExitStack() as stack:
        try:
            place.mkdir(parents=True, exist_ok=True)
            work = stack.enter_context(workspace(place))  # also removes what a killed one has left
        except (OSError, SetupError) as error:
            raise _not_unpacked(path, error) from error
        files = work / "bundle"
        check_space(place, contents.size_bytes, f"Unpacking {path.name}")
        told = observer.counting(f"Checking {path.name}", contents.size_bytes)
        try:
            unpack(path, contents, files, told)
        except OSError as error:
            raise _not_unpacked(path, error) from error
        yield files


def _not_unpacked(path: Path, error: OSError | SetupError) -> SetupError:
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return SetupError(
            "disk.full",
            f"The disk became full while {path.name} was unpacked; nothing was installed.",
            "Free some space, then try again.",
            str(error),
        )
    return SetupError(
        "disk.not_writable",
        f"{path.name} cannot be unpacked; nothing was installed.",
        "Check that the bundle can be read and that you may write to the folder of your data.",
        str(error),
    )
