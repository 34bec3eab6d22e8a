"""DICOM segmentations: bitmaps, one for every segment and slice that it is in, or labelmaps.

highdicom makes the object as for one slice, with all segments described. What grows with the frames
is put in its place here, see :mod:`.frames`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from ...errors import InputError
from ..orders import Order, SegmentContent, Source
from .files import write_object
from .frames import MOST_BYTES, bitmap_bytes, bitmaps, frame_groups, labelmaps
from .template import (
    DEMO,
    EQUIPMENT,
    coded,
    coded_regions,
    coded_type,
    coding_schemes,
    description_of,
    plain,
    series_description,
    series_number,
    source_dataset,
    task_of,
    tracking,
)


@dataclass(frozen=True, eq=False)
class _Segment:
    """
    :param number: its SegmentNumber.
    :param content: what it is.
    :param slices: indices of the slices that it is in.
    """

    number: int
    content: SegmentContent
    slices: np.ndarray


@dataclass(frozen=True, eq=False)
class WrittenSegmentation:
    """
    :param header: the object without its frames and pixels.
    :param found: SegmentNumber -> what it is, of the segments that have a voxel.
    """

    header: Dataset
    found: Mapping[int, SegmentContent]


def write_segmentation(
    order: Order, labels: Sequence[np.ndarray], path: Path, check: Callable[[], None]
) -> WrittenSegmentation | None:
    """Write the order's segments as one object.

    Bitmaps number the segments that are written from 1. A labelmap of one layer has its labels for
    numbers; of several layers, the later one is seen where they overlap.

    :param labels: the arrays of the order's layers, (slices, rows, columns).
    :param check: called before every frame; raises what shall end the work.
    :returns: what was written. None, and no file, if none of the segments has a voxel: DICOM knows
        no segmentation without frames.
    :raises InputError: ``output.too_large``; and see :func:`.template.source_dataset`.
    """
    places = [_places(array) for array in labels]
    segments = _segments(order, places)
    found = {one.number: one.content for one in segments if one.slices.size}
    if not found:
        return None
    header = _header(order, segments)
    if order.options.labelmap:
        frames = [(0, k) for k in range(len(order.source.slices))]
        pixels = labelmaps(_merged(labels, places, segments, check))
    else:
        frames = [(one.number, int(k)) for one in segments for k in one.slices]
        size = bitmap_bytes(len(frames), order.source.rows * order.source.columns)
        if size > MOST_BYTES:
            raise _too_large(size)
        pixels = bitmaps(_masks(labels, segments, check), size)
    header.NumberOfFrames = len(frames)
    groups = frame_groups(frames, order.source.slices)
    write_object(path, header, chain([groups], pixels))
    return WrittenSegmentation(header, found)


def _places(labels: np.ndarray) -> np.ndarray:
    """Which labels occur in which slices: (slices, highest label + 1) bool."""
    found = np.zeros((len(labels), int(labels.max(initial=0)) + 1), bool)
    for present, plane in zip(found, labels, strict=True):
        pixels = plane.ravel()
        # A label occurs where it differs from the pixel before; there are few such places.
        present[pixels[1:][pixels[1:] != pixels[:-1]]] = True
        present[pixels[0]] = True
    return found


def _segments(order: Order, places: Sequence[np.ndarray]) -> list[_Segment]:
    """What will be described, in the order of its numbers."""
    keeps_labels = order.options.labelmap and len(places) == 1
    chosen = []
    for content in order.segments:
        table = places[content.layer]
        known = content.label < table.shape[1]
        slices = np.flatnonzero(table[:, content.label]) if known else np.zeros(0, np.intp)
        if slices.size or order.options.empty_segments:
            number = content.label if keeps_labels else len(chosen) + 1
            chosen.append(_Segment(number, content, slices))
    return sorted(chosen, key=lambda one: one.number)


def _masks(
    labels: Sequence[np.ndarray], segments: Sequence[_Segment], check: Callable[[], None]
) -> Iterator[np.ndarray]:
    """The bitmaps of all frames: (rows, columns) bool."""
    for one in segments:
        for k in one.slices:
            check()
            yield labels[one.content.layer][k] == one.content.label


def _merged(
    labels: Sequence[np.ndarray],
    places: Sequence[np.ndarray],
    segments: Sequence[_Segment],
    check: Callable[[], None],
) -> Iterator[np.ndarray]:
    """The labelmaps of all slices, (rows, columns), with the numbers of the segments."""
    kind = np.min_scalar_type(max(one.number for one in segments))
    numbers = [np.zeros(table.shape[1], kind) for table in places]
    for one in segments:
        if one.slices.size:
            numbers[one.content.layer][one.content.label] = one.number
    for planes in zip(*labels, strict=True):
        check()
        merged = np.take(numbers[0], planes[0])
        for table, plane in zip(numbers[1:], planes[1:], strict=True):
            later = np.take(table, plane)
            np.copyto(merged, later, where=later != 0)
        yield merged


def _header(order: Order, segments: Sequence[_Segment]) -> Segmentation:
    """All of the object but the frames."""
    source, algorithm, labelmap = order.source, order.algorithm, order.options.labelmap
    image = source_dataset(source)
    # A class that highdicom knows as that of files with one image; references are made below.
    image.SOPClassUID = CTImageStorage
    made_by = f"{algorithm.name} {algorithm.version} {algorithm.task}"
    header = Segmentation(
        source_images=[image],
        pixel_array=np.zeros((1, source.rows, source.columns), np.uint8),
        segmentation_type="LABELMAP" if labelmap else "BINARY",
        segment_descriptions=[_description(order, one) for one in segments],
        series_instance_uid=generate_uid(prefix=None),
        series_number=series_number(order),
        series_description=series_description(order, "Segmentation"),
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        content_label="SEGMENTATION",
        content_description=plain(f"{DEMO if algorithm.demo else ''} {made_by}"),
        coding_schemes=coding_schemes(order) or None,
        omit_empty_frames=False,
        **EQUIPMENT,
    )
    for keyword in ("PerFrameFunctionalGroupsSequence", "PixelData", "SourceImageSequence"):
        del header[keyword]
    # It stands here if there is one segment only; here every frame says it.
    header.SharedFunctionalGroupsSequence[0].pop("SegmentIdentificationSequence", None)
    header.ReferencedSeriesSequence = [_referenced_series(source)]
    if len(order.labels) > 1 and not labelmap:
        header.SegmentsOverlap = "UNDEFINED"  # layers may overlap
    header.file_meta.TransferSyntaxUID = _transfer_syntax(order)
    return header


def _transfer_syntax(order: Order) -> UID:
    if order.options.labelmap:
        return RLELossless
    return DeflatedExplicitVRLittleEndian if order.options.deflate else ExplicitVRLittleEndian


def _referenced_series(source: Source) -> Dataset:
    """The images, each file once."""
    series = Dataset()
    series.SeriesInstanceUID = source.series_uid
    series.ReferencedInstanceSequence = []
    for instance, sop_class in {one.sop_instance: one.sop_class for one in source.slices}.items():
        reference = Dataset()
        reference.ReferencedSOPClassUID = sop_class
        reference.ReferencedSOPInstanceUID = instance
        series.ReferencedInstanceSequence.append(reference)
    return series


def _description(order: Order, segment: _Segment) -> SegmentDescription:
    content = segment.content
    identifier, uid = tracking(order, content)
    item = SegmentDescription(
        segment_number=segment.number,
        segment_label=plain(content.name) or plain(content.id),
        segmented_property_category=coded(content.category),
        segmented_property_type=coded_type(content),
        algorithm_type=content.made,
        algorithm_identification=_made_by(order, content),
        tracking_id=identifier,
        tracking_uid=uid,
        anatomic_regions=coded_regions(content) or None,
        display_color=CIELabColor.from_rgb(*content.color),
    )
    description = description_of(order, content)
    if description:
        item.SegmentDescription = description
    return item


def _made_by(order: Order, content: SegmentContent) -> AlgorithmIdentificationSequence | None:
    if content.made == "MANUAL":
        return None
    algorithm, task = order.algorithm, task_of(order, content)
    return AlgorithmIdentificationSequence(
        plain(algorithm.name),
        family=codes.DCM.ArtificialIntelligence,
        version=plain(algorithm.version) or "unknown",
        parameters={"task": task} if task else None,
    )


def _too_large(size: int) -> InputError:
    return InputError(
        "output.too_large",
        f"Bitmaps of all segments would take {size / 1e9:.1f} GB, and a DICOM file can hold 4.3.",
        "Write a labelmap, or fewer structures.",
    )
