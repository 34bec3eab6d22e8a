"""What is to be written as DICOM: plain values, as they go to the engine process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..catalog.terminology import Code
from ..images import Notice

#: Kinds of objects, as in names of files and in queries of workflows.
SEGMENTATION, STRUCTURE_SET, MEASUREMENTS = "dicomseg", "rtstruct", "dicomsr"


@dataclass(frozen=True)
class SourceSlice:
    """An image that objects refer to; see :class:`~.volumes.Slice`.

    :param frame: number of the frame in its file from 1, or 0 if the file has one image only.
    """

    sop_class: str
    sop_instance: str
    frame: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]


@dataclass(frozen=True)
class Source:
    """The images that objects belong to.

    :param header: a file of the series; patient, study and equipment are taken from it.
    :param study_uid, series_uid, frame_of_reference_uid: repaired if the file lacks them.
    :param number: SeriesNumber, or None.
    :param pixel_spacing: distance of rows, then of columns, in mm.
    :param slice_spacing: usual distance of slices along their normal in mm.
    :param slices: in the order of the rows of the label arrays.
    """

    header: Path
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    modality: str
    number: int | None
    rows: int
    columns: int
    pixel_spacing: tuple[float, float]
    slice_spacing: float
    slices: tuple[SourceSlice, ...]


@dataclass(frozen=True)
class SegmentContent:
    """A segment as it will be written.

    :param layer: which label array it is in.
    :param label: its value there, also its number in a LABELMAP with one layer.
    :param id: class name of the structure, or the segment's id.
    :param name: for people.
    :param description: further words, e.g. official label and class name; they follow the name of
        the algorithm if it is not ``MANUAL``.
    :param color: red, green, blue, 0 to 255.
    :param task: task that looked for it; part of its stable tracking identifier.
    :param made: ``AUTOMATIC``, ``SEMIAUTOMATIC`` or ``MANUAL``.
    :param demo: whether a demo model made it.
    :param volume_ml: volume, or None if it was not measured.
    :param mean, sd, median: intensities in HU (CT) or scanner units, or None.
    """

    layer: int
    label: int
    id: str
    name: str
    category: Code
    type: Code
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None
    description: str = ""
    color: tuple[int, int, int] = (128, 128, 128)
    task: str = ""
    made: str = "AUTOMATIC"
    demo: bool = False
    volume_ml: float | None = None
    mean: float | None = None
    sd: float | None = None
    median: float | None = None


@dataclass(frozen=True)
class Algorithm:
    """What made the segments.

    :param name: e.g. ``TotalSegmentator``.
    :param version: of the package that holds the models, e.g. ``2.18.0``.
    :param task: what it was asked for, e.g. ``total (fast)``.
    :param demo: whether the result is of a demo model, which every object says.
    """

    name: str
    version: str
    task: str = ""
    demo: bool = False


@dataclass(frozen=True)
class DicomOptions:
    """Which objects are written and how.

    :param labelmap: one labelmap with RLE (Label Map Segmentation Storage) instead of a bitmap per
        segment, which is what most programs can read.
    :param deflate: deflate the whole segmentation file; for bitmaps only.
    :param empty_segments: also describe the segments that were looked for and not found.
    :param structure_set: write an RTSTRUCT too.
    :param measurements: write a structured report (TID 1500) too.
    """

    labelmap: bool = False
    deflate: bool = False
    empty_segments: bool = False
    structure_set: bool = False
    measurements: bool = False


@dataclass(frozen=True)
class Order:
    """All that is needed to write the objects of one result.

    :param labels: NumPy files (.npy) with integer arrays of shape (slices, rows, columns), one per
        layer, in the order of the source's slices and in their pixels.
    :param segments: what the labels mean; those that were not found too,
        if they are to be described.
    :param part: number of the result among those of its series, from 0: objects get different
        numbers.
    :param folder: private folder to write to.
    """

    source: Source
    labels: tuple[Path, ...]
    segments: tuple[SegmentContent, ...]
    algorithm: Algorithm
    options: DicomOptions
    folder: Path
    part: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The order as JSON values."""
        values = asdict(self)
        values["source"]["header"] = str(self.source.header)
        return {**values, "labels": [str(path) for path in self.labels], "folder": str(self.folder)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Order:
        """The inverse of :meth:`to_dict`."""
        return cls(
            source=_source_from(values["source"]),
            labels=tuple(map(Path, values["labels"])),
            segments=tuple(map(_segment_from, values["segments"])),
            algorithm=Algorithm(**values["algorithm"]),
            options=DicomOptions(**values["options"]),
            folder=Path(values["folder"]),
            part=values["part"],
        )


@dataclass(frozen=True)
class Written:
    """The files of an order.

    :param files: kind (:data:`SEGMENTATION` and so on) -> file.
    :param notices: what people should know.
    :param timings_s: seconds per kind.
    """

    files: Mapping[str, Path]
    notices: tuple[Notice, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The files as JSON values."""
        values = asdict(self)
        return {**values, "files": {kind: str(path) for kind, path in self.files.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Written:
        """The inverse of :meth:`to_dict`."""
        files = {kind: Path(path) for kind, path in values["files"].items()}
        notices = tuple(Notice(**notice) for notice in values["notices"])
        return cls(files, notices, values["timings_s"])


def _source_from(values: Mapping[str, Any]) -> Source:
    slices = tuple(
        SourceSlice(
            one["sop_class"],
            one["sop_instance"],
            one["frame"],
            tuple(one["position"]),
            tuple(one["orientation"]),
        )
        for one in values["slices"]
    )
    row, column = values["pixel_spacing"]
    return Source(
        **{
            **values,
            "header": Path(values["header"]),
            "pixel_spacing": (row, column),
            "slices": slices,
        }
    )


_CODES = ("category", "type", "type_modifier", "region", "region_modifier")


def _segment_from(values: Mapping[str, Any]) -> SegmentContent:
    codes = {name: Code(**values[name]) if values[name] else None for name in _CODES}
    red, green, blue = values["color"]
    return SegmentContent(**{**values, **codes, "color": (red, green, blue)})
