"""What an engine is: a declaration that every face can read, and one function that runs.

An engine is a folder beside this file. Its ``__init__`` holds ``SPEC`` and imports no torch; its
``engine`` module holds ``run(run: Run) -> EngineResult`` and is imported only in the engine
process. Beside ``SPEC`` there may be functions, which :mod:`.engines` finds by their names:
``check(request)``, ``structures(task, names)`` and ``networks(request, task)``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..jobs import JobContext, Log, Progress, Request, Stage, Warned
from ..jobs.request import OptionValue
from .kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Environment variable of the engine process: "on" if the user agreed to usage statistics.
USAGE_STATISTICS = "TOTALSEGMENTATOR_USAGE_STATISTICS"
#: Environment variable of the engine process: how many of them share this computer's memory.
RUNS_AT_ONCE = "TOTALSEGMENTATOR_RUNS_AT_ONCE"
#: The step of a run in which the application gets models, which is no computing.
DOWNLOAD = "Downloading the weights"
#: What is done once on a computer, as part of a step: no measure of further runs.
COMPARE = "comparing"
DEVICE_PATTERN = r"auto|cpu|mps|gpu(?::(\d+))?"
#: The kinds of runs that an option can be for, see :class:`Option`.
SCOPES = {"task": "tasks with downloaded models", "model": "model folders"}


@dataclass(frozen=True)
class Option:
    """A setting of an engine.

    :param name: identifier, as in ``Request.options``; the command line shows it with dashes.
    :param default: value when it is not given; its type is the option's type.
    :param title: label for people.
    :param help: one sentence.
    :param minimum: smallest value of a number, or None.
    :param maximum: largest value of a number, or None.
    :param unsafe: whether it lifts a protection, so that it must be given anew for every run and
        is never taken from a scene, which may come from anybody.
    :param scope: ``task`` if it is for tasks with downloaded models only, ``model`` if for model
        folders only (a user's own, and one that comes with the extension); empty for both.
    :param tasks: ids of the only tasks that it is for; empty for all.
    :param choices: the only values that a text may have; empty for any.
    :param path: whether a text is the path of a file or folder on this computer.
    """

    name: str
    default: OptionValue
    title: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    unsafe: bool = False
    scope: str = ""
    tasks: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    path: bool = False

    def parse(self, value: OptionValue) -> OptionValue:
        """The value with the option's type; a path is made absolute.

        :raises InputError: ``input.bad_option``.
        """
        try:
            parsed = self._convert(value)
        except (TypeError, ValueError, OverflowError):
            raise self._error(value) from None
        if isinstance(parsed, (int, float)) and not isinstance(parsed, bool):
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            if not low <= parsed <= high:  # so that NaN is refused too
                raise self._error(value)
        if self.choices and parsed not in self.choices:
            raise self._error(value)
        return str(Path(str(parsed)).absolute()) if self.path and parsed else parsed

    def is_for(self, scope: str, task: str) -> bool:
        """Whether a kind of run has it.

        :param scope: ``task`` or ``model``; empty for any.
        :param task: id of the task; empty for any.
        """
        return (not scope or self.scope in ("", scope)) and (
            not task or not self.tasks or task in self.tasks
        )

    def _convert(self, value: OptionValue) -> OptionValue:
        if not isinstance(self.default, bool):
            return type(self.default)(value)
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ValueError(value)
        return words[str(value).lower()]

    def _error(self, value: OptionValue) -> InputError:
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        bounds = "" if self.minimum is None else f" from {self.minimum:g}"
        bounds += "" if self.maximum is None else f" to {self.maximum:g}"
        wanted = f"one of: {', '.join(self.choices)}" if self.choices else kind[type(self.default)]
        return InputError(
            "input.bad_option",
            f"Option {self.name} cannot be '{value}'.",
            f"Give {wanted}{bounds}.",
        )


THREADS = Option(
    "threads",
    0,
    "CPU threads",
    "Number of CPU threads for the network; 0 leaves it to the engine.",
    minimum=0,
    maximum=1024,
)
#: Of engines whose windows can be placed and grouped freely.
OVERLAP = Option(
    "overlap",
    0.25,
    "Overlap of windows",
    "Share of a window that neighbouring windows have in common; more is slower and smoother.",
    minimum=0.0,
    maximum=0.9,
)
BATCH = Option(
    "batch",
    1,
    "Windows at once",
    "Windows that the network is given together; more takes more memory.",
    minimum=1,
    maximum=16,
)
#: Of an engine that can run weights from anywhere; a run that has it needs no downloaded models.
WEIGHTS = Option(
    "weights",
    "",
    "Weights",
    "File or bundle folder of the weights to run; empty: the weights of the weights folder.",
    path=True,
)


@dataclass(frozen=True)
class Costs:
    """What an engine takes of a computer, for estimates.

    :param start_s: seconds of starting it and importing its packages.
    :param network_s: seconds to load a network, and to start processes for it if the engine does.
    :param patch_voxel_s: seconds that a voxel of a patch takes one core.
    :param score_s: seconds that a score takes.
    :param image_voxel_s: seconds that a voxel of the image takes.
    :param own_bytes: memory of its packages and processes.
    :param score_bytes: memory of a score that is held.
    :param layered: whether only a layer of scores is held at once, as high as a patch, not all of
        a result.
    :param image_voxel_bytes: memory of a voxel of the image, in all its copies.
    """

    start_s: float
    network_s: float
    patch_voxel_s: float
    score_s: float
    image_voxel_s: float
    own_bytes: float
    score_bytes: float
    layered: bool
    image_voxel_bytes: float


@dataclass(frozen=True)
class NetworkWork:
    """What one network costs, counted in networks of nnU-Net's plain kind.

    :param patch: voxels (x, y, z) of a patch.
    :param spacing: mm (x, y, z) of the grid that it works on.
    :param classes: number of its classes, with the background.
    :param features: number of features at full resolution.
    :param folds: how many times a network of this size is run on every patch; or how many times
        more another kind of network computes.
    :param step: distance of the patches as a share of their size.
    """

    patch: tuple[int, ...]
    spacing: tuple[float, float, float]
    classes: int
    features: int = 32
    folds: float = 1.0
    step: float = 0.5


@dataclass(frozen=True)
class Lighter:
    """A way to run with less memory that an engine has by its options.

    :param options: what changes.
    :param text: how it is run then, e.g. ``in three parts (option force_split)``.
    """

    options: Mapping[str, OptionValue]
    text: str


@dataclass(frozen=True)
class EngineSpec:
    """The declaration of an engine.

    :param name: id, also the name of its folder.
    :param title: name for people.
    :param description: one sentence.
    :param costs: what it takes of a computer.
    :param options: the settings it understands.
    :param stages: (phrase for people, share of the run's time) in order; the shares sum to 1.
    :param runs_models: whether it runs any model folder that it is given.
    :param derived: task id -> ids of the structures that it makes from the task's own.
    :param lighter: ways to run with less memory, the one that changes least first.
    """

    name: str
    title: str
    description: str
    costs: Costs
    options: Sequence[Option] = ()
    stages: Sequence[tuple[str, float]] = ()
    runs_models: bool = False
    derived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lighter: Sequence[Lighter] = ()

    def own_structures(self, task: str, structures: Sequence[str]) -> tuple[str, ...]:
        """The structures of a task itself that a run needs; empty means all.

        :param structures: what the run is restricted to; what is derived needs all of the task.
        """
        derived = self.derived.get(task, ())
        return () if set(structures) & set(derived) else tuple(structures)

    def options_for(self, scope: str, task: str = "") -> tuple[Option, ...]:
        """The options of one kind of run.

        :param scope: ``task`` or ``model``, as in :class:`Option`; empty for all options.
        :param task: id of the task; empty for the options of all tasks.
        """
        return tuple(one for one in self.options if one.is_for(scope, task))

    def parse_options(
        self, values: Mapping[str, OptionValue], scope: str = "", task: str = ""
    ) -> dict[str, OptionValue]:
        """All options of one kind of run with their values, defaults filled in.

        :param scope, task: see :meth:`options_for`.
        :raises InputError: ``input.unknown_option`` or ``input.bad_option``.
        """
        options = self.options_for(scope, task)
        unknown = set(values) - {option.name for option in options}
        if unknown:
            known = ", ".join(option.name for option in options) or "none"
            kind, others = "", [one for one in self.options if one.name in unknown]
            if any(one.tasks for one in others):
                kind = f" for the task {task}"
            elif others:
                kind = f" for {SCOPES[scope]}"
            raise InputError(
                "input.unknown_option",
                f"The engine {self.name} has no option {', '.join(sorted(unknown))}{kind}.",
                f"Its options are: {known}.",
            )
        return {one.name: one.parse(values.get(one.name, one.default)) for one in options}


def timing_key(text: str) -> str:
    """The name of a stage in ``timings_s``."""
    return text.lower().replace(" ", "_")


class Reporter:
    """Turns an engine's stages into one growing fraction of the whole run, with seconds left."""

    # Before this share is done an extrapolation would say more about start-up than about the run.
    _TRUSTED_FRACTION = 0.1

    def __init__(self, spec: EngineSpec, context: JobContext) -> None:
        self._context = context
        self._spans: dict[str, tuple[float, float]] = {}
        start = 0.0
        for text, share in spec.stages:
            self._spans[text] = (start, start + share)
            start += share
        self._span = (0.0, 0.0)
        self._stage = ""
        self._fraction = 0.0
        self._began = time.monotonic()
        self.timings_s: dict[str, float] = {}

    def check(self) -> None:
        """:raises CancelledError: if the run was cancelled."""
        self._context.check()

    def stage(self, text: str) -> None:
        """Begin a stage of the spec (another text is shown, but does not move the bar)."""
        self._context.check()
        if text != self._stage:
            self._context.emit(Stage(text))
        self._stage = text
        if text in self._spans:
            self._begin(text)

    def _begin(self, text: str) -> None:
        self._span = self._spans[text]
        self.progress(0.0)

    @contextmanager
    def timed(self, text: str, shown: bool = True) -> Iterator[None]:
        """Begin a stage and note how long its block takes.

        :param shown: whether people read of it; if not, the block itself tells what it does.
        """
        if shown:
            self.stage(text)
        else:
            self._begin(text)
        began = time.monotonic()
        yield
        if text in self._spans:
            self.progress(1.0)
        key = timing_key(text)
        self.timings_s[key] = round(self.timings_s.get(key, 0) + time.monotonic() - began, 3)

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Note how long a block takes, without a word to people."""
        began = time.monotonic()
        yield
        key = timing_key(name)
        self.timings_s[key] = round(self.timings_s.get(key, 0) + time.monotonic() - began, 6)

    @contextmanager
    def aside(self, name: str) -> Iterator[None]:
        """Measure a block that is no part of the work: the seconds left are told without it."""
        began = time.monotonic()
        with self.measured(name):
            yield
        self._began += time.monotonic() - began

    def progress(self, fraction: float) -> None:
        """How much of the current stage is done, 0..1.

        :raises CancelledError: if the run was cancelled, which makes this the place to stop at.
        """
        self._context.check()
        start, end = self._span
        whole = start + (end - start) * min(max(fraction, 0.0), 1.0)
        if whole < self._fraction:
            return
        self._fraction = whole
        elapsed = time.monotonic() - self._began
        left = None
        if whole > self._TRUSTED_FRACTION:
            left = round(elapsed * (1 - whole) / whole, 1)
        self._context.emit(Progress(round(whole, 4), left))

    def log(self, text: str) -> None:
        """A line for the log."""
        self._context.check()
        self._context.emit(Log(text))

    def warn(self, code: str, message: str) -> None:
        """Something people should know."""
        self._context.emit(Warned(code, message))


@dataclass(frozen=True)
class Run:
    """One run, as the engine sees it.

    :param request: what is asked.
    :param options: all options of the engine with their values.
    :param image: NIfTI to segment; a clean copy made for this run.
    :param labels: NIfTI to write: official values, on the grid of ``image``.
    :param report: where to tell what happens.
    :param folder: private folder for intermediate files.
    :param kept: what this and further runs of the process share.
    """

    request: Request
    image: Path
    labels: Path
    report: Reporter
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
