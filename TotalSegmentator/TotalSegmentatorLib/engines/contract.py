"""What an engine is: a declaration that every face can read, and one function that runs.

An engine is a folder beside this file. Its ``__init__`` holds ``SPEC`` and imports no torch; its
``engine`` module holds ``run(run: Run) -> EngineResult`` and is imported only in the engine
process.
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
    """

    name: str
    default: OptionValue
    title: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    unsafe: bool = False
    scope: str = ""

    def parse(self, value: OptionValue) -> OptionValue:
        """The value with the option's type.

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
        return parsed

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
        return InputError(
            "input.bad_option",
            f"Option {self.name} cannot be '{value}'.",
            f"Give {kind[type(self.default)]}{bounds}.",
        )


THREADS = Option(
    "threads",
    0,
    "CPU threads",
    "Number of CPU threads for the network; 0 leaves it to the engine.",
    minimum=0,
    maximum=1024,
)


@dataclass(frozen=True)
class EngineSpec:
    """The declaration of an engine.

    :param name: id, also the name of its folder.
    :param title: name for people.
    :param description: one sentence.
    :param options: the settings it understands.
    :param stages: (phrase for people, share of the run's time) in order; the shares sum to 1.
    :param runs_models: whether it runs any model folder that it is given.
    :param derived: task id -> ids of the structures that it makes from the task's own.
    """

    name: str
    title: str
    description: str
    options: Sequence[Option] = ()
    stages: Sequence[tuple[str, float]] = ()
    runs_models: bool = False
    derived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def own_structures(self, task: str, structures: Sequence[str]) -> tuple[str, ...]:
        """The structures of a task itself that a run needs; empty means all.

        :param structures: what the run is restricted to; what is derived needs all of the task.
        """
        derived = self.derived.get(task, ())
        return () if set(structures) & set(derived) else tuple(structures)

    def options_for(self, scope: str) -> tuple[Option, ...]:
        """The options of one kind of run.

        :param scope: ``task`` or ``model``, as in :class:`Option`; empty for all options.
        """
        return tuple(one for one in self.options if not scope or one.scope in ("", scope))

    def parse_options(
        self, values: Mapping[str, OptionValue], scope: str = ""
    ) -> dict[str, OptionValue]:
        """All options of one kind of run with their values, defaults filled in.

        :param scope: see :meth:`options_for`.
        :raises InputError: ``input.unknown_option`` or ``input.bad_option``.
        """
        options = self.options_for(scope)
        unknown = set(values) - {option.name for option in options}
        if unknown:
            known = ", ".join(option.name for option in options) or "none"
            kind = f" for {SCOPES[scope]}" if scope else ""
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
