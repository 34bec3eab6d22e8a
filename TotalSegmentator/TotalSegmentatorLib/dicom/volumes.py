"""What was found in files: slices, the volumes they make, and their series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError, SegmentationError
from ..images import Notice

Vector = tuple[float, ...]


class TooFewImages(InputError):
    """Images that are too few for a volume, as scouts are."""


@dataclass(frozen=True)
class Slice:
    """One image: a file, or a frame of a multi-frame file.

    :param path: the file.
    :param frame: number of the frame in the file, from 0.
    :param frames: number of frames in the file, 1 unless it is multi-frame.
    :param sop_class, sop_instance: its UIDs, repaired if they were missing.
    :param rows, columns: size in pixels.
    :param position: centre of the first pixel, LPS mm (x, y, z).
    :param orientation: direction of rows, then of columns (six cosines, LPS).
    :param pixel_spacing: distance of rows, then of columns, in mm.
    :param slope, intercept: from stored values to HU or the scanner's units.
    """

    path: Path
    frame: int
    frames: int
    sop_class: str
    sop_instance: str
    rows: int
    columns: int
    position: Vector
    orientation: Vector
    pixel_spacing: tuple[float, float]
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True)
class SeriesInfo:
    """What all images of a series have in common.

    :param uid: SeriesInstanceUID; this and the other UIDs are repaired if they were missing.
    :param modality: e.g. ``CT``.
    :param number: SeriesNumber, or None.
    :param description: SeriesDescription; for people, and never for logs.
    :param repaired: names of the attributes whose values had to be made up.
    """

    uid: str
    study_uid: str
    frame_of_reference_uid: str
    modality: str
    number: int | None = None
    description: str = ""
    repaired: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DicomVolume:
    """Slices of a series that make one image.

    :param number: of the volume in its series, from 1.
    :param title: what sets it apart in its series, e.g. ``echo time 4.6 ms``; empty if it is the
        only one.
    :param slices: in the order of the normal (row direction x column direction).
    :param ijk_to_ras: (4, 4), the regular grid of the image that engines get; sheared if the
        gantry was tilted.
    :param shape: (K, J, I) of that grid.
    :param places: the index k on that grid of every slice; 0, 1, 2 ... unless slices are missing
        or lie at uneven distances.
    :param notices: what people should know about it.
    """

    series: SeriesInfo
    number: int
    title: str
    slices: tuple[Slice, ...]
    ijk_to_ras: np.ndarray
    shape: tuple[int, int, int]
    places: Vector
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, eq=False)
class Series:
    """An image series.

    :param volumes: what can be segmented of it.
    :param refusals: why other slices of it cannot.
    """

    info: SeriesInfo
    volumes: tuple[DicomVolume, ...]
    refusals: tuple[SegmentationError, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """What files hold.

    :param series: image series, in the order of their numbers.
    :param others: number of other files by modality; under ``""`` those that are no DICOM.
    """

    series: tuple[Series, ...]
    others: Mapping[str, int]
