"""What is wrong with this computer, if anything, and what can be done about it.

Every check is a small function of facts, here or in a file that the installation uses as well; in
this one the facts are found. Nothing is
changed, and what a diagnosis says can be shown to anybody: no names of users, no numbers, and no
hosts but public ones.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from urllib.request import getproxies

from ...errors import SetupError
from .. import connection, places
from ..checks import check_interpreter, python_version
from ..drivers import Driver, find_driver
from ..engine import EngineEnvironment, find_engine
from ..environments import Environments, fixed_folder, read_environment
from ..findings import ERROR, UNKNOWN, WARNING, Finding
from ..hardware import Hardware, memory, probe
from ..licence import config_file, licence_status
from ..lock import locked_versions, specification, this_target
from ..places import LEAST_GB, Place, Room
from ..settings import load_settings
from ..torch_builds import TorchBuild, choose_build
from ..weights import entries, weights_folder
from . import engine, gpus, licence, models

_PROBE_TIMEOUT_S = 40.0
_log = logging.getLogger(__name__)


def diagnose(
    engine_python: Path | None = None,
    online: bool = True,
    variables: Mapping[str, str] | None = None,
    other_modules: Sequence[Path] = (),
    weights: Path | None = None,
) -> Iterator[Finding]:
    """Look at everything that a run needs; each finding comes as soon as it is known.

    It takes seconds, most of them to start the engine's PyTorch.

    :param engine_python: an interpreter that the user named; the engine environment by default.
    :param online: whether hosts may be asked if they answer, and whether the licence is valid.
    :param variables: environment variables to start from; those of this process by default.
    :param other_modules: other modules of this name in the application, see
        :func:`~.duplicates.other_modules`.
    :param weights: the folder of the weights that the user named; the usual one by default.
    """
    computer = _Computer(engine_python, variables, weights)
    for check, look in _checks(computer, online, other_modules):
        try:
            found = look()
            for finding in [found] if isinstance(found, Finding) else found:
                yield _without_home(finding)
        except SetupError as error:
            yield _without_home(Finding(check, ERROR, error.message, error.remedy))
        except Exception as error:  # whatever is broken, the other checks go on
            _log.debug("The check %s failed.", check, exc_info=True)
            yield Finding(check, UNKNOWN, f"This could not be found out ({type(error).__name__}).")


def _checks(
    computer: _Computer, online: bool, other_modules: Sequence[Path]
) -> Iterator[tuple[str, Callable[[], Finding | Iterable[Finding]]]]:
    """Every check with what does it, in the order in which people read."""
    yield "interpreter", lambda: check_interpreter(computer.python, computer.variables)
    yield "environment", computer.environment
    yield "packages", computer.packages
    yield "driver", lambda: gpus.driver(computer.driver, computer.best_build)
    yield "gpu", lambda: gpus.gpus(computer.driver, computer.usable)
    yield "torch", computer.torch
    yield "memory", lambda: places.memory(*memory())
    yield "disk", lambda: places.disk(computer.rooms)
    yield "folder", lambda: map(places.folder, computer.rooms)
    yield "weights", lambda: models.state(entries(computer.weights))
    yield "licence", lambda: computer.licence(online)
    yield "proxy", lambda: connection.proxy(getproxies())
    yield "certificates", lambda: connection.certificates(os.environ)
    if online:
        addresses = connection.addresses(load_settings())
        yield "network", lambda: connection.answers(connection.problems(addresses))
    yield "modules", lambda: _modules(other_modules)


class _Computer:
    """What several checks need to know; each fact is looked for when it is first asked for."""

    def __init__(
        self,
        engine_python: Path | None,
        variables: Mapping[str, str] | None,
        weights: Path | None,
    ) -> None:
        self._engine_python = engine_python
        self.variables = variables
        self._weights = weights

    @cached_property
    def weights(self) -> Path:
        """The folder of the weights."""
        return self._weights or weights_folder(self.variables)

    @cached_property
    def engine(self) -> EngineEnvironment | SetupError:
        """The engine environment, or why there is none."""
        try:
            return find_engine(self._engine_python, self.variables)
        except SetupError as error:
            return error

    @cached_property
    def hardware(self) -> Hardware | SetupError:
        """What the engine can use, or why it does not tell."""
        if isinstance(self.engine, SetupError):
            return self.engine
        try:
            return probe(self.engine, _PROBE_TIMEOUT_S)
        except SetupError as error:
            return error

    @property
    def usable(self) -> Hardware | None:
        """What the engine can use; None if it does not tell."""
        return self.hardware if isinstance(self.hardware, Hardware) else None

    @cached_property
    def installed(self) -> dict[str, str] | None:
        """The engine's packages, see :func:`.engine.installed_packages`."""
        return engine.installed_packages(self.python) if self.python else None

    @cached_property
    def driver(self) -> Driver:
        return find_driver(self.variables)

    @cached_property
    def best_build(self) -> TorchBuild:
        return choose_build(self.driver)

    @cached_property
    def rooms(self) -> tuple[Room, ...]:
        size = specification()["disk_gb"] + self.best_build.disk_gb
        engines = fixed_folder() or Environments().folder(self.best_build.id)
        scratch = Path(tempfile.gettempdir())
        needed = LEAST_GB if self.python else size
        wanted = (
            places.engine_place(engines, needed, "ask who runs this computer"),
            Place("weights", "the weights", self.weights, "choose another folder", 2.0),
            Place("temporary", "temporary files", scratch, "set TMPDIR or TEMP", 4.0),
        )
        return tuple(map(places.look_at, wanted))

    @property
    def python(self) -> Path | None:
        """The engine's Python; None if there is no engine."""
        return None if isinstance(self.engine, SetupError) else self.engine.python

    def environment(self) -> Finding:
        note = read_environment(self.python.parent.parent) if self.python else None
        versions = self.installed or {}
        return engine.environment(self.hardware, versions, bool(note and note.development))

    def packages(self) -> Finding:
        version = python_version(self.python, self.variables) if self.python else None
        target = this_target("{}.{}".format(*version)) if version else this_target()
        return engine.packages(self.installed, locked_versions(target))

    def torch(self) -> Finding:
        variables = os.environ if self.variables is None else self.variables
        return gpus.torch(self.driver, self.usable, self.best_build, variables)

    def licence(self, online: bool) -> Finding:
        status = licence_status(self.variables, online=online)
        return licence.state(status, config_file(self.variables))


def _modules(others: Sequence[Path]) -> Iterator[Finding]:
    for path in others:
        yield Finding(
            "modules",
            WARNING,
            f"There is another module of this name, and Slicer may load it instead: {path}.",
            "Remove the other extension, or its folder from Slicer's additional module paths.",
        )


def _without_home(finding: Finding) -> Finding:
    """A finding that does not tell the name of the user."""
    message, remedy = finding.message, finding.remedy
    home = os.path.expanduser("~")
    for name in {home, os.path.realpath(home)} - {os.sep}:
        message, remedy = message.replace(name, "~"), remedy.replace(name, "~")
    return replace(finding, message=message, remedy=remedy)
