"""The use case: an image and a request go in, a checked segmentation comes out.

Every face calls :func:`segment`: Apply, the console, the command line.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import catalog
from .images import Image, Layer, Notice, SegmentRecord, merge_layers
from .jobs import EngineResult, Event, Feed, Job, JobContext, Log, Request, Stage, Warned
from .jobs.job import EventHandler
from .report import (
    DEMO_BANNER,
    StructureReport,
    check_image,
    check_result,
    input_record,
    make_report,
    measure,
    segment_records,
)
from .runs import Runs, check, complete
from .session import Session, Settings, part_of


@dataclass(frozen=True)
class Segmentation:
    """A finished segmentation.

    :param layers: one per task that was run, general tasks first, on the grid of the image that
        was segmented.
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
        """One labelmap of everything; where tasks overlap, the later layer is seen."""
        return merge_layers(self.layers)


@dataclass(frozen=True)
class Frame:
    """An image to segment, and what is known of it.

    :param image: what to segment.
    :param notices: what was noticed when it was read; repeated in the report.
    :param source: path of the image, for ``report.json`` only.
    :param name: for people, which of several images it is, e.g. ``Frame 3``.
    """

    image: Image
    notices: Sequence[Notice] = ()
    source: str = ""
    name: str = ""


def segment(
    image: Image,
    request: Request,
    settings: Settings,
    notices: Sequence[Notice] = (),
    on_event: EventHandler | None = None,
    source: str = "",
) -> Job[Segmentation]:
    """Start a segmentation and return its job; nothing outside a private folder is written.

    :param image: what to segment.
    :param request: what is asked, not yet completed.
    :param notices: see :class:`Frame`.
    :param on_event: receives the events, on the thread that polls or waits.
    :param source: see :class:`Frame`.
    :raises InputError, SetupError: see :func:`~.runs.complete`, :func:`~.runs.check`.
    """
    runs = check(complete(request, image.modality), settings)

    def work(context: JobContext) -> Segmentation:
        with Session(settings, context) as session:
            return _segment_one(session, Frame(image, notices, source), runs, context)

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

    A warning that several frames give is told once; each frame's report has its own.

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
            for number, frame in enumerate(feed.take(context)):
                name = frame.name or f"Frame {number + 1}"
                one = part_of(context, number, count, f"{name} ({number + 1} of {count})")
                one = one.passing(_naming(one, name, told))
                results.append(_segment_one(session, frame, runs, one))
        return tuple(results)

    return Job(work, on_event, feed.give).start()


def _segment_one(session: Session, frame: Frame, runs: Runs, context: JobContext) -> Segmentation:
    began = time.monotonic()
    warnings: list[Notice] = []
    context = context.passing(_noting(context, warnings))
    image = frame.image
    if runs.sentence:
        context.emit(Log(runs.sentence))
    for notice in (*frame.notices, *check_image(image, runs.modality)):
        context.emit(Warned(notice.code, notice.message))
    results = session.run(image, runs.requests, context)
    context.emit(Stage("Measuring the structures"))
    measured = [_measured(image, *result) for result in zip(runs.requests, results, strict=True)]
    structures = [structure for _, found in measured for structure in found]
    for notice in check_result(structures, image, runs.wanted):
        context.emit(Warned(notice.code, notice.message))
    context.check()
    report = make_report(
        input_record(image, frame.source),
        runs.request,
        [(one, answer) for one, (_, answer) in zip(runs.requests, results, strict=True)],
        structures,
        warnings,
        round(time.monotonic() - began, 3),
    )
    return Segmentation(tuple(layer for layer, _ in measured), report)


def _measured(
    image: Image, request: Request, result: tuple[Image, EngineResult]
) -> tuple[Layer, tuple[StructureReport, ...]]:
    labels, answer = result
    names = _ids(answer.label_names)
    structures = measure(labels, image, names, request.task)
    return Layer(labels, segment_records(structures), names), structures


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
            if notice in told:
                return
            told.add(notice)
            event = Warned(notice.code, f"{name}: {notice.message}")
        context.emit(event)

    return emit
