"""The use case: an image and a request go in, a checked segmentation comes out.

Every face calls :func:`segment`: Apply, the console, the command line.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import catalog, engines, environment
from .engines.contract import DEVICE_PATTERN
from .environment import EngineEnvironment
from .errors import EngineError, InputError
from .images import Image, Notice, SegmentRecord, read_labelmap, same_grid, write_nifti
from .jobs import (
    EngineProcess,
    EngineResult,
    Job,
    JobContext,
    Request,
    Stage,
    Warned,
    run_message,
    workspace,
)
from .jobs.job import EventHandler
from .jobs.workspace import not_writable
from .report import DEMO_BANNER, empty_notice, input_record, make_report, measure, segment_records

CUSTOM_TASK = "custom"
MODEL_ENGINE = "nnunet"


@dataclass(frozen=True)
class Segmentation:
    """A finished segmentation.

    :param labels: labelmap on the grid of the image that was segmented, official values.
    :param label_names: official value -> class name of every structure looked for.
    :param segments: those that were found, with names, colours and terminology.
    :param report: the content of ``report.json``.
    """

    labels: Image
    label_names: Mapping[int, str]
    segments: tuple[SegmentRecord, ...]
    report: Mapping[str, Any] = field(repr=False)

    @property
    def banner(self) -> str:
        """What every output must show; empty unless the model is a demo."""
        return DEMO_BANNER if self.provenance.get("demo") else ""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Engine, versions, model, device, and whether it is a demo."""
        return self.report["provenance"]


@dataclass(frozen=True)
class Settings:
    """Where and how a run is done on this computer; not part of what is asked.

    :param engine: the engine environment.
    :param may_download: whether weights may be downloaded.
    :param weights: weights folder, or None for the official package's own choice.
    :param keep_files: leave the run's temporary folder in place.
    """

    engine: EngineEnvironment
    may_download: bool = False
    weights: Path | None = None
    keep_files: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that tell the engine of these settings."""
        return {"TOTALSEG_WEIGHTS_PATH": str(self.weights)} if self.weights else {}


def complete(request: Request) -> Request:
    """The request with its engine filled in, after all that can be checked without the image.

    :raises InputError: ``input.unknown_*`` (task, speed, structure, engine, option),
        ``input.bad_option`` or ``input.no_model``.
    """
    if not re.fullmatch(DEVICE_PATTERN, request.device):
        raise InputError(
            "input.unknown_device",
            f"There is no device '{request.device}'.",
            "Use auto, cpu, gpu, gpu:N or mps.",
        )
    if request.model or request.task == CUSTOM_TASK:
        request = _with_model(request)
    else:
        request = _with_task(request)
    options = engines.spec(request.engine).parse_options(request.options)
    request = dataclasses.replace(request, options=options)
    engines.check(request)
    return request


def _with_model(request: Request) -> Request:
    if not request.model:
        raise InputError(
            "input.no_model", "The task 'custom' needs a model.", "Name the model's folder."
        )
    engine = request.engine or MODEL_ENGINE
    if not engines.spec(engine).runs_models:
        raise InputError(
            "input.wrong_engine",
            f"The engine {engine} does not run model folders.",
            f"Leave the engine out, or use {MODEL_ENGINE}.",
        )
    model = str(Path(request.model).absolute())
    return dataclasses.replace(request, task=CUSTOM_TASK, engine=engine, model=model)


def _with_task(request: Request) -> Request:
    task = catalog.task(request.task)
    task.check_speed(request.speed)
    catalog.check_structures(task, request.structures)
    if request.engine and engines.spec(request.engine).name != task.engine:
        raise InputError(
            "input.wrong_engine",
            f"The engine {request.engine} does not run the task '{task.id}'.",
            f"Leave the engine out, or use {task.engine}.",
        )
    return dataclasses.replace(request, engine=task.engine)


def check(request: Request, settings: Settings) -> Request:
    """Everything that can be known before minutes are spent; returns the completed request.

    :raises InputError: see :func:`complete`.
    :raises SetupError: ``weights.missing``.
    """
    request = complete(request)
    if request.engine == "totalsegmentator":
        models = catalog.task(request.task).required_models(
            request.speed,
            request.structures,
            robust_crop=bool(request.options.get("robust_crop")),
        )
        folder = settings.weights or environment.weights_folder(settings.engine.variables)
        environment.check_weights(models, folder, settings.may_download)
    return request


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
    :param notices: what was noticed when the image was read; repeated in the report.
    :param on_event: receives the events, on the thread that polls or waits.
    :param source: path of the image, for ``report.json`` only.
    :raises InputError, SetupError: see :func:`check`.
    """
    request = check(request, settings)

    def work(context: JobContext) -> Segmentation:
        return _work(image, source, request, settings, notices, context)

    return Job(work, on_event).start()


def _work(
    image: Image,
    source: str,
    request: Request,
    settings: Settings,
    notices: Sequence[Notice],
    context: JobContext,
) -> Segmentation:
    warnings = list(notices)
    for notice in notices:
        context.emit(Warned(notice.code, notice.message))
    began = time.monotonic()
    with workspace(keep=settings.keep_files) as folder:
        if settings.keep_files:
            context.emit(Warned("files.kept", f"The temporary files are kept in {folder}."))
        context.emit(Stage("Preparing the image"))
        _write_input(image, folder / "image.nii")
        context.check()
        command = settings.engine.command(settings.variables)
        with EngineProcess(command, folder, _noting(context, warnings)) as engine:
            result = engine.run(run_message(request, folder / "image.nii", folder / "labels.nii"))
        context.emit(Stage("Measuring the structures"))
        labels = _read_result(result, image)
    structures = measure(labels, image, result.label_names)
    for notice in empty_notice(structures):
        warnings.append(notice)
        context.emit(Warned(notice.code, notice.message))
    context.check()
    timings = {"total": round(time.monotonic() - began, 3)}
    return Segmentation(
        labels,
        result.label_names,
        segment_records(structures),
        make_report(input_record(image, source), request, result, structures, warnings, timings),
    )


def _write_input(image: Image, path: Path) -> None:
    try:
        write_nifti(image, path)
    except InputError as error:  # it speaks of an output, and this is none
        raise not_writable(error) from error


def _noting(context: JobContext, warnings: list[Notice]) -> JobContext:
    """The same context, with the engine's warnings noted for the report."""

    def emit(event: object) -> None:
        if isinstance(event, Warned):
            warnings.append(Notice(event.code, event.message))
        context.emit(event)  # type: ignore[arg-type]

    noting = JobContext(emit)
    noting.cancelled = context.cancelled
    return noting


def _read_result(result: EngineResult, image: Image) -> Image:
    """The engine's labelmap, which must lie on the image's grid: a wrong place is never silent."""
    labels = read_labelmap(result.labels)
    if not same_grid(labels, image):
        raise EngineError(
            "engine.wrong_grid",
            "The engine's labels do not lie on the grid of the image.",
            "Please report it with the log.",
        )
    return labels
