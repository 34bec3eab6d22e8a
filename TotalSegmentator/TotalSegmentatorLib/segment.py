"""The use case: an image and a request go in, a checked segmentation comes out.

Every face calls :func:`segment`: Apply, the console, the command line.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from . import catalog, history
from .errors import InputError, SetupError
from .images import Image, Layer, Notice, SegmentRecord, crop, merge_layers, paste, voxel_box
from .images.region import Box
from .images.values import to_intensities
from .jobs import Event, Feed, Job, JobContext, Log, Progress, Request, Stage, Warned
from .jobs.job import EventHandler
from .memory_guard import FELL_BACK, MemoryGuard, Way, is_shortage, known_hardware
from .report import (
    DEMO_BANNER,
    StructureReport,
    check_image,
    check_result,
    input_record,
    make_report,
    measure,
    segment_records,
    shifted,
)
from .runs import Runs, check, complete
from .session import Answer, Session, Settings, part_of


@dataclass(frozen=True)
class Segmentation:
    """A finished segmentation.

    :param layers: one per task that was run, general tasks first, and those derived from it; on
        the grid of the image that was segmented.
    :param report: the content of ``report.json``.
    """

    layers: tuple[Layer, ...]
    report: Mapping[str, Any] = field(repr=False)

    @property
    def segments(self) -> tuple[SegmentRecord, ...]:
        """The structures that were found, with names, colours and terminology."""
        return tuple(segment for layer in self.layers for segment in layer.segments)

    @property
    def banner(self) -> str:
        """What every output must show; empty unless the model is a demo."""
        return DEMO_BANNER if self.provenance.get("demo") else ""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Engine, versions, model, device, and whether it is a demo."""
        return self.report["provenance"]

    def merged(self) -> Layer:
        """One labelmap without extra layers; where layers overlap, the later one is seen."""
        return merge_layers([layer for layer in self.layers if not layer.extra])


@dataclass(frozen=True)
class Frame:
    """An image to segment, and what is known of it.

    :param image: what to segment.
    :param notices: what was noticed when it was read; repeated in the report.
    :param source: path of the image, for ``report.json`` only.
    :param name: for people, which of several images it is, e.g. ``Frame 3``.
    :param raw: voxels as they lie in the scene's memory: copied and checked in the job's thread
        first.
    :param reading: entered in the job's thread while the voxels of a raw image are copied.
    """

    image: Image
    notices: Sequence[Notice] = ()
    source: str = ""
    name: str = ""
    raw: bool = False
    reading: AbstractContextManager[object] = field(default_factory=nullcontext)


@dataclass(frozen=True)
class _Part:
    """What is segmented of a frame.

    :param image: the frame's image, or its region; int16 or float32, all voxels finite.
    :param box: where it lies in the frame's image.
    :param whole: the image that the report names.
    :param notices: what people should know about it.
    """

    image: Image
    box: Box
    whole: Image
    notices: tuple[Notice, ...]


def segment(
    image: Image,
    request: Request,
    settings: Settings,
    notices: Sequence[Notice] = (),
    on_event: EventHandler | None = None,
    source: str = "",
    raw: bool = False,
    reading: AbstractContextManager[object] | None = None,
) -> Job[Segmentation]:
    """Start a segmentation and return its job; nothing outside a private folder is written.

    :param image: what to segment.
    :param request: what is asked, not yet completed.
    :param notices: see :class:`Frame`.
    :param on_event: receives the events, on the thread that polls or waits.
    :param source, raw, reading: see :class:`Frame`.
    :raises InputError, SetupError: see :func:`~.runs.complete`, :func:`~.runs.check`,
        :func:`~.images.voxel_box`.
    """
    runs = check(complete(request, image.modality), settings)
    voxel_box(image, request.region)
    frame = Frame(image, notices, source, raw=raw, reading=reading or nullcontext())

    def work(context: JobContext) -> Segmentation:
        with Session(settings, context) as session:
            result = _segment_one(_Attempts(session, runs, settings), frame, context)
        if settings.remember_runs and "asked" not in result.report:  # else it says nothing of time
            history.record(result.report, image, settings.weights_folder)
        return result

    return Job(work, on_event).start()


def segment_frames(
    frames: Iterable[Frame],
    count: int,
    request: Request,
    settings: Settings,
    modality: str = "",
    on_event: EventHandler | None = None,
) -> Job[tuple[Segmentation, ...]]:
    """Segment the frames of a sequence, all of them by one engine process.

    A warning that several frames give is told once, unless it says that a frame was run in another
    way than was asked for; each frame's report has its own.

    :param frames: asked for one at a time, on the thread that polls or waits.
    :param count: how many frames will come.
    :param modality: that of the frames, if known.
    :raises InputError, SetupError: see :func:`~.runs.complete`, :func:`~.runs.check`.
    """
    runs = check(complete(request, modality), settings)
    feed = Feed(frames)

    def work(context: JobContext) -> tuple[Segmentation, ...]:
        results = []
        told: set[Notice] = set()
        with Session(settings, context) as session:
            attempts = _Attempts(session, runs, settings)
            for number, frame in enumerate(feed.take(context)):
                name = frame.name or f"Frame {number + 1}"
                one = part_of(context, number, count, f"{name} ({number + 1} of {count})")
                one = one.passing(_naming(one, name, told))
                frame = replace(frame, name=name)
                results.append(_segment_one(attempts, frame, one))
        return tuple(results)

    return Job(work, on_event, feed.give).start()


def _segment_one(attempts: _Attempts, frame: Frame, context: JobContext) -> Segmentation:
    began = time.monotonic()
    planned = attempts.planned
    warnings: list[Notice] = []
    context = context.passing(_noting(context, warnings))
    if planned.sentence:
        context.emit(Log(planned.sentence))
    part = _part_to_segment(frame, planned.asked, context)
    region = bool(planned.asked.region)
    for notice in (*part.notices, *check_image(part.image, planned.modality, region)):
        context.emit(Warned(notice.code, notice.message))
    runs, answers = attempts.answered(part.image, context)
    context.emit(Stage("Measuring the structures"))
    measured = [
        one
        for request, answer in zip(runs.requests, answers, strict=True)
        for one in _measured(part.image, request, answer)
    ]
    structures = [structure for _, found in measured for structure in found]
    for notice in check_result(structures, part.image, runs.wanted, region):
        context.emit(Warned(notice.code, notice.message))
    context.check()
    report = make_report(
        input_record(part.whole, frame.source),
        runs.request,
        [(one, a.result) for one, a in zip(runs.requests, answers, strict=True)],
        shifted(structures, [axis.start for axis in reversed(part.box)]),
        warnings,
        round(time.monotonic() - began, 3),
        None if runs is planned else planned.request,
    )
    layers = [layer for layer, _ in measured]
    if region:
        layers = [replace(one, labels=paste(one.labels, frame.image, part.box)) for one in layers]
    return Segmentation(tuple(layers), report)


class _Attempts:
    """Runs what was planned, unless memory is short and the settings allow other ways: each is
    gone once, and none without a word. The next image begins with the way that worked.

    :param planned: what is run if nothing is in the way.
    """

    def __init__(self, session: Session, planned: Runs, settings: Settings) -> None:
        self._session = session
        self.planned = planned
        self._settings = settings
        self._way: Way | None = None

    def answered(self, image: Image, context: JobContext) -> tuple[Runs, list[Answer]]:
        """What was run, and the engine's answers.

        :raises SegmentationError: see :meth:`.Session.run`; and what :class:`.MemoryGuard` says.
        """
        settings, tried = self._settings, [self.planned]
        hardware = known_hardware(self._session.hardware(self.planned.asked.device, context))
        grid = (image.shape_ijk, image.spacing)
        guard = MemoryGuard(*grid, hardware, settings.weights_folder, settings.at_once)
        if self._way:
            tried.append(self._way.runs)
            context.emit(Warned(FELL_BACK, f"It is run {self._way.text}, as the one before."))
        while True:
            try:
                for notice in guard.check(tried[-1], settings.skip_memory_check):
                    context.emit(Warned(notice.code, notice.message))
                return tried[-1], self._session.run(image, tried[-1].requests, context)
            except SetupError as error:
                if not is_shortage(error):
                    raise
                ways = guard.chain(tried, error.code) if settings.fall_back else ()
                self._way = next((one for one in ways if _is_open(one, settings)), None)
                if self._way is None:
                    guard.add_ways(error, tried)
                    raise
                text = f"{error.message} It is run {self._way.text} instead."
                context.emit(Warned(FELL_BACK, text))
            context.emit(Stage(f"Beginning again {self._way.text}"))
            context.emit(Progress(0.0))
            tried.append(self._way.runs)


def _is_open(way: Way, settings: Settings) -> bool:
    """Whether nothing is missing for a way."""
    try:
        check(way.runs, settings)
    except SetupError:  # its weights are not here and may not be downloaded
        return False
    return True


def _part_to_segment(frame: Frame, request: Request, context: JobContext) -> _Part:
    """
    :raises InputError: see :func:`~.images.voxel_box`, :func:`~.images.values.to_intensities`.
    """
    try:
        box = voxel_box(frame.image, request.region)
        if not frame.raw:
            part = crop(frame.image, box) if request.region else frame.image
            return _Part(part, box, frame.image, tuple(frame.notices))
        context.emit(Stage("Reading the volume"))
        with frame.reading:  # all of it: the report tells by its checksum which image it was
            whole = frame.image.with_array(frame.image.array.copy())
        part = crop(whole, box) if request.region else whole
        array, notices = to_intensities(part.array, "The volume")
        return _Part(part.with_array(array), box, whole, (*frame.notices, *notices))
    except InputError as error:
        if not frame.name:
            raise
        message = f"{frame.name}: {error.message}"
        raise InputError(error.code, message, error.remedy, error.details) from error


def _measured(
    image: Image, request: Request, answer: Answer
) -> Iterator[tuple[Layer, tuple[StructureReport, ...]]]:
    """The layers of a run and what is in them, in the order in which they should be seen."""

    def layer(
        labels: Image, label_names: Mapping[int, str], extra: bool = False
    ) -> tuple[Layer, tuple[StructureReport, ...]]:
        names = _ids(label_names)
        structures = measure(labels, image, names, request.task)
        return Layer(labels, segment_records(structures), names, extra), structures

    derived = list(zip(answer.derived, answer.result.derived, strict=True))
    unasked = not request.structures
    yield from (layer(labels, one.label_names, unasked) for labels, one in derived if one.beneath)
    if answer.result.label_names or not derived:
        yield layer(answer.labels, answer.result.label_names)
    yield from (
        layer(labels, one.label_names, unasked) for labels, one in derived if not one.beneath
    )


def _ids(label_names: Mapping[int, str]) -> dict[int, str]:
    """The catalogue's ids for an engine's own names, unless two of them mean the same."""
    ids = {label: catalog.structure(name).id for label, name in label_names.items()}
    times = Counter(ids.values())
    return {label: id if times[id] == 1 else label_names[label] for label, id in ids.items()}


def _noting(context: JobContext, warnings: list[Notice]) -> EventHandler:
    """Notes warnings for the report, and passes every event on."""

    def emit(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(Notice(event.code, event.message))
        context.emit(event)

    return emit


def _naming(context: JobContext, name: str, told: set[Notice]) -> EventHandler:
    """Says which image a warning is about, and passes the same warning on once only."""

    def emit(event: Event) -> None:
        if isinstance(event, Warned):
            notice = Notice(event.code, event.message.removeprefix(f"{name}: "))
            if notice in told and notice.code != FELL_BACK:
                return
            told.add(notice)
            event = Warned(notice.code, f"{name}: {notice.message}")
        context.emit(event)

    return emit
