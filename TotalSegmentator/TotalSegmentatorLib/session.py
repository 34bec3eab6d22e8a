"""A session: an engine process and a private folder, for one run or many."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from . import engines, environment
from .dicom.orders import Order, Written
from .engines.contract import DOWNLOAD, RUNS_AT_ONCE, USAGE_STATISTICS, timing_key
from .engines.known_weights import KNOWN_WEIGHTS
from .environment import EngineEnvironment, Hardware, Observer
from .environment.drivers import find_driver
from .environment.paths import import_folder
from .environment.weights import Way, known_file, obtain
from .errors import EngineError, InputError, SetupError
from .images import (
    Image,
    is_sheared,
    labels_on_grid,
    read_labelmap,
    same_grid,
    straighten,
    write_nifti,
)
from .jobs import (
    EnginePool,
    EngineResult,
    Event,
    JobContext,
    Log,
    Progress,
    Request,
    Stage,
    Warned,
    dicom_message,
    run_message,
    workspace,
)
from .jobs.workspace import not_writable

_PROBE_S = 20.0


@dataclass(frozen=True)
class Settings:
    """Where and how a run is done on this computer; not part of what is asked.

    :param engine: the engine environment.
    :param may_download: whether weights may be downloaded.
    :param weights: weights folder; None: see :func:`.environment.weights_folder`.
    :param keep_files: leave the run's temporary folder in place.
    :param remember_runs: note how long runs took, for better estimates (see :mod:`.history`).
    :param usage_statistics: let the official package tell its authors of the run.
    :param fall_back: do a run for which memory is short in another way that needs less, see
        :mod:`.memory_guard`.
    :param skip_memory_check: try even what by estimate cannot fit into memory.
    :param at_once: how many runs like this one go on at once, which share the memory of this
        computer; an engine process is kept for each of them.
    :param hardware: what is known of this computer, see :func:`.environment.probe`; None: a
        session looks, see :meth:`Session.hardware`.
    """

    engine: EngineEnvironment
    may_download: bool = False
    weights: Path | None = None
    keep_files: bool = False
    remember_runs: bool = False
    usage_statistics: bool = False
    fall_back: bool = False
    skip_memory_check: bool = False
    at_once: int = 1
    hardware: Hardware | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that tell the engine of these settings."""
        return {
            USAGE_STATISTICS: "on" if self.usage_statistics else "off",
            RUNS_AT_ONCE: str(self.at_once),
            "TOTALSEG_WEIGHTS_PATH": str(self.weights_folder),
            KNOWN_WEIGHTS: str(known_file() or ""),
        }

    @property
    def weights_folder(self) -> Path:
        """The folder that is searched for weights."""
        return self.weights or environment.weights_folder(self.engine.variables)


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one request; labelmaps lie on the grid of the image.

    :param result: what the engine said.
    :param labels: the labelmap of the task.
    :param derived: a labelmap for each of ``result.derived``.
    """

    result: EngineResult
    labels: Image
    derived: tuple[Image, ...] = ()


@cache
def engine_pool() -> EnginePool:
    """The engine processes of this application: sessions take them from here, and bring them back.

    One that nobody uses ends by itself after some minutes, or with ``engine_pool().release()``.
    """
    pool = EnginePool(import_folder())
    atexit.register(pool.release)
    return pool


@cache
def _probed(engine: EngineEnvironment) -> Hardware | None:
    """What PyTorch finds where a driver tells of a GPU; asked once per program."""
    if not find_driver(engine.variables).gpus:
        return None
    return environment.probe(engine, _PROBE_S)


class Session:
    """Serves images and requests with one engine process; a context manager.

    On leaving it every temporary file is gone, and the process is free for another session.

    :param context: receives the events of the session itself, and says when to stop.
    """

    def __init__(self, settings: Settings, context: JobContext) -> None:
        self._settings = settings
        self._context = context
        self._images = 0

    def __enter__(self) -> Session:
        keep = self._settings.keep_files
        command = self._settings.engine.command(self._settings.variables)
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(workspace(keep=keep))
            self._engine = stack.enter_context(engine_pool().lend(command, self._settings.at_once))
            self._stack = stack.pop_all()
        if keep:
            text = f"The temporary files are kept in {self._folder}."
            self._context.emit(Warned("files.kept", text))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def folder(self) -> Path:
        """The private folder, for files that the engine process shall read or write."""
        return self._folder

    def hardware(self, device: str, context: JobContext) -> Hardware | None:
        """The GPUs that the engine can use; None if none is known.

        PyTorch is asked where a driver tells of one. This takes seconds, the first time, in which
        the engine process gets ready too.

        :param device: what was asked for.
        :param context: receives what went wrong.
        """
        settings = self._settings
        if settings.hardware or device == "cpu":
            return settings.hardware
        try:
            return _probed(settings.engine)
        except SetupError as error:  # the run itself will tell
            context.emit(Log(f"The GPU could not be looked at. {error}"))
            return None

    def run(self, image: Image, requests: Sequence[Request], context: JobContext) -> list[Answer]:
        """Run the requests on an image, one after the other.

        :param requests: completed ones.
        :param context: receives the events of these runs; their progress is that of all of them.
        :returns: an answer to each request.
        :raises SegmentationError: what went wrong.
        """
        context, download_s = self._with_weights(requests, context)
        context.emit(Stage("Preparing the image"))
        self._images += 1
        folder = self._folder / f"image-{self._images}"
        folder.mkdir()
        try:
            first, *others = self._run(image, requests, folder, context)
            return [_with_download(first, download_s), *others]
        finally:
            if not self._settings.keep_files:  # the next image needs the space
                shutil.rmtree(folder, ignore_errors=True)

    def write_dicom(self, order: Order, context: JobContext) -> Written:
        """Let the engine process, which has the packages for it, write DICOM objects.

        :param order: whose files and folder lie in :attr:`folder`.
        :param context: receives the events.
        :raises SegmentationError: what went wrong.
        """
        message = dicom_message(order.to_dict(), self._folder)
        return Written.from_dict(self._engine.ask(message, context))

    def _with_weights(
        self, requests: Sequence[Request], context: JobContext
    ) -> tuple[JobContext, float]:
        """Download what is missing.

        :returns: the context for what follows, and how many seconds it took.
        :raises SetupError: see :func:`.environment.check_weights` and
            :func:`.environment.weights.obtain`.
        """
        settings, folder = self._settings, self._settings.weights_folder
        models = [model for one in requests for model in engines.downloaded_models(one)]
        missing = environment.check_weights(models, folder, settings.may_download)
        if not missing:
            return context, 0.0
        download, began = part_of(context, 0, 2), time.monotonic()

        def on_step(share: float, text: str) -> None:
            download.emit(Stage(text))
            download.emit(Progress(share))

        def on_line(line: str) -> None:
            download.emit(Log(line))

        observer = Observer(on_step, on_line, context.cancelled.is_set)
        obtain(missing, folder, observer, Way(variables=settings.engine.variables))
        return part_of(context, 1, 2), time.monotonic() - began

    def _run(
        self, image: Image, requests: Sequence[Request], folder: Path, context: JobContext
    ) -> list[Answer]:
        straight = image
        if is_sheared(image.ijk_to_ras):
            context.emit(Stage("Straightening the image"))
            straight = straighten(image)
        _write_input(straight, folder / "image.nii")
        context.check()
        answers = []
        for number, request in enumerate(requests):
            title = f"Task {request.task}" if len(requests) > 1 else ""
            one = part_of(context, number, len(requests), title)
            labels = folder / f"labels-{number}.nii"
            message = run_message(request, folder / "image.nii", labels, self._folder)
            result = self._engine.run(message, one)
            answers.append(_read_answer(result, straight, image))
        return answers


def _with_download(answer: Answer, seconds: float) -> Answer:
    """An answer whose times tell of the download before it."""
    if not seconds:
        return answer
    timings_s = {timing_key(DOWNLOAD): round(seconds, 3), **answer.result.timings_s}
    return replace(answer, result=replace(answer.result, timings_s=timings_s))


def part_of(context: JobContext, number: int, count: int, title: str = "") -> JobContext:
    """A context for one of several pieces of work that take about equally long.

    Progress becomes the share of the whole, and stages tell which piece it is.

    :param number: of this piece, from 0.
    :param title: of this piece, for people; may be empty.
    """
    began = time.monotonic()

    def emit(event: Event) -> None:
        if isinstance(event, Progress):
            left = event.seconds_left
            if left is not None:
                left += (count - number - 1) * (time.monotonic() - began + left)
            event = Progress((number + event.fraction) / count, left)
        elif isinstance(event, Stage) and title:
            event = Stage(f"{title}: {event.text[:1].lower()}{event.text[1:]}")
        context.emit(event)

    return context.passing(emit)


def _write_input(image: Image, path: Path) -> None:
    try:
        write_nifti(image, path)
    except InputError as error:  # it speaks of an output, and this is none
        raise not_writable(error) from error


def _read_answer(result: EngineResult, seen: Image, image: Image) -> Answer:
    derived = tuple(_read_labels(one.labels, seen, image) for one in result.derived)
    return Answer(result, _read_labels(result.labels, seen, image), derived)


def _read_labels(path: Path, seen: Image, image: Image) -> Image:
    """An engine's labelmap on the image's grid: a wrong place is never silent.

    :param seen: the image that the engine saw.
    """
    labels = read_labelmap(path)
    if not same_grid(labels, seen):
        raise EngineError(
            "engine.wrong_grid",
            "The engine's labels do not lie on the grid of the image.",
            "Please report it with the log.",
        )
    return labels if seen is image else labels_on_grid(labels, image)
