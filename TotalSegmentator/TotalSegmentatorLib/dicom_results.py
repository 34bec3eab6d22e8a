"""Writing a result as DICOM objects, beside the images that it was made from.

The counterpart of :mod:`.outputs`. The packages that it takes are those of the engine process: it
gets the labels, and its files are put in their place here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import catalog
from .dicom.orders import Algorithm, DicomOptions, Order, SegmentContent, Written
from .dicom.reading import labels_on_slices, source_of
from .dicom.volumes import DicomVolume
from .images import Layer, whole_file
from .jobs import Job, JobContext, Stage, Warned
from .jobs.job import EventHandler
from .jobs.workspace import not_writable
from .session import Session, Settings

_PACKAGE = "TotalSegmentator"
_CHECKSUM_DIGITS = 12


def write_dicom(
    layers: Sequence[Layer],
    volume: DicomVolume,
    report: Mapping[str, Any] | None,
    options: DicomOptions,
    settings: Settings,
    folder: Path,
    names: Mapping[str, str],
    part: int = 0,
    on_event: EventHandler | None = None,
    contents: Sequence[SegmentContent] | None = None,
) -> Job[Written]:
    """Start writing the DICOM objects of a result and return the job; its result has the files.

    Every file appears whole, or not at all. Without any structure in the labels there is none, and
    a notice says so.

    :param layers: labelmaps on any grid, e.g. that of the image that was segmented.
    :param volume: the images; their files are needed until the job has ended.
    :param report: that of the result, or None if there is none of these segments.
    :param folder: where to put the files.
    :param names: names of the files by their kind, see :mod:`.dicom.orders`.
    :param part: number of the result among those of its series, from 0.
    :param on_event: receives the events, on the thread that polls or waits.
    :param contents: what the labels mean; None: what the layers and the report say. The layers that
        came unasked are left out of a labelmap then, since they would hide others.
    """
    if contents is None:
        assert report, "either the report or the contents say what labels mean"
        layers = [layer for layer in layers if not (layer.extra and options.labelmap)]
        contents = contents_of(layers, report, options.empty_segments)
    segments, algorithm = tuple(contents), _algorithm(report, contents)

    def work(context: JobContext) -> Written:
        with Session(settings, context) as session:
            context.emit(Stage("Placing the labels on the slices"))
            order = Order(
                source_of(volume),
                tuple(_saved_labels(layers, volume, session.folder, context)),
                segments,
                algorithm,
                options,
                session.folder,
                part,
            )
            written = session.write_dicom(order, context)
            for notice in written.notices:
                context.emit(Warned(notice.code, notice.message))
            return _in_place(written, folder, names)

    return Job(work, on_event).start()


def _saved_labels(
    layers: Sequence[Layer], volume: DicomVolume, folder: Path, context: JobContext
) -> Iterator[Path]:
    for number, layer in enumerate(layers):
        context.check()
        path = folder / f"slices-{number}.npy"
        labels = labels_on_slices(layer.labels, volume)
        try:
            np.save(path, labels)
        except OSError as error:
            raise not_writable(error) from error
        yield path


def _in_place(written: Written, folder: Path, names: Mapping[str, str]) -> Written:
    """
    :raises InputError, SetupError: see :func:`~.images.whole_file`.
    """
    files = {}
    for kind, path in written.files.items():
        files[kind] = folder / names[kind]
        with whole_file(files[kind]) as part:
            shutil.move(path, part)
    return Written(files, written.notices, written.timings_s)


def contents_of(
    layers: Sequence[Layer], report: Mapping[str, Any], absent: bool = False
) -> tuple[SegmentContent, ...]:
    """What the labels of a result mean, with the measurements of its report.

    :param absent: also the structures that were looked for and not found.
    """
    measured = {(one["label"], one["id"]): one for one in report["structures"]}
    found = [
        (number, label, id)
        for number, layer in enumerate(layers)
        for label, id in sorted(layer.label_names.items())
        if absent or label in {segment.label for segment in layer.segments}
    ]
    return tuple(_content(*place, measured[place[1:]]) for place in found)


def _content(layer: int, label: int, id: str, measured: Mapping[str, Any]) -> SegmentContent:
    structure = catalog.structure(id)
    return SegmentContent(
        layer=layer,
        label=label,
        id=id,
        name=structure.name,
        category=structure.category,
        type=structure.type,
        type_modifier=structure.type_modifier,
        region=structure.region,
        region_modifier=structure.region_modifier,
        description=f"{label} : {id}",
        color=structure.color,
        task=measured["task"],
        volume_ml=measured["volume_ml"] if measured["found"] else None,
        **(measured["hu"] or {}),
    )


def _algorithm(report: Mapping[str, Any] | None, contents: Sequence[SegmentContent]) -> Algorithm:
    """What made segments, also such that no report tells of."""
    by_hand = all(one.made == "MANUAL" for one in contents)
    unknown = Algorithm("3D Slicer" if by_hand else _PACKAGE, "")
    algorithm = algorithm_of(report) if report else unknown
    return replace(algorithm, demo=algorithm.demo or any(one.demo for one in contents))


def algorithm_of(report: Mapping[str, Any]) -> Algorithm:
    """What made a result: the packages whose models were used, or a model of somebody's own."""
    about = {key: _first(value) for key, value in report["provenance"].items()}
    name, version = _packages(report["provenance"].get("follows", ""))
    if not name:  # the package itself
        name, version = _PACKAGE, (about.get("versions") or {}).get(_PACKAGE)
    if not version:  # a model folder has no version but its weights
        name = str(about.get("model", "")) or report["runs"][0]["request"]["task"]
        version = about.get("weights_sha256", "")[:_CHECKSUM_DIGITS]
    tasks = dict.fromkeys(_task(run["request"]) for run in report["runs"])
    return Algorithm(name, version, ", ".join(tasks), bool(about.get("demo")))


def _packages(follows: Any) -> tuple[str, str]:
    """Names and versions of what runs follow, e.g. ``TotalSegmentator 2.18.0``, each once."""
    each = follows if isinstance(follows, (list, tuple)) else [follows]
    parts = [text.rpartition(" ") for text in dict.fromkeys(map(str, each))]
    return ", ".join(one[0] for one in parts), ", ".join(one[2] for one in parts)


def _first(value: Any) -> Any:
    """Of several values, of several models or runs, the first one."""
    while isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    return value


def _task(request: Mapping[str, Any]) -> str:
    speed = request["speed"]
    return request["task"] if speed == "normal" else f"{request['task']} ({speed})"
