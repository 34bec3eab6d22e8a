"""What people give: an image file, or a folder with the images of one DICOM series."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .dicom.volumes import DicomVolume, Found, Series, TooFewImages
from .errors import InputError, SegmentationError
from .images import Image, Notice, read_image

_WORKFLOW = "'slicer-totalsegmentator dicom'"
#: Refusals of what is no series to choose from.
_BESIDE = ("input.modality", "input.localizer")
#: Refusals of files: whatever series they belong to, it is not whole without them.
_LOST = ("input.damaged", "input.not_readable", "input.not_found")


def read_input(path: str | Path) -> tuple[Image, tuple[Notice, ...]]:
    """Read a scalar 3D image that a network can work on.

    :param path: NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.
    :return: the image as int16 or float32, all voxels finite; what people should know about it.
    :raises InputError: those of :func:`~.images.read_image`; for a folder ``input.no_image``,
        ``input.several_series``, ``input.several_volumes``, ``input.too_many_files`` and the
        refusals of its series: ``input.series_geometry``, ``input.modality``, ``input.damaged``
        and others.
    :raises SetupError: ``memory.image_too_large``.
    """
    path = Path(os.path.abspath(path))  # a name may begin with '-'
    if not path.is_dir():
        return read_image(path)
    from .dicom.reading import read_volume  # here, as pydicom takes its time
    from .dicom.series import find_series

    return read_volume(the_volume(find_series(path), path.name))


def the_volume(found: Found, name: str) -> DicomVolume:
    """The one volume of the one series that was found, which must be whole.

    :param name: what was searched, for messages.
    :raises InputError: see :func:`read_input`.
    """
    refusals = [refusal for series in found.series for refusal in series.refusals]
    for refusal in refusals:
        if refusal.code in _LOST:
            raise refusal
    wanted = [
        series
        for series in found.series
        if series.volumes or not all(map(_is_beside, series.refusals))
    ]
    if len(wanted) > 1:
        texts = ", ".join(map(_described, wanted))
        raise InputError(
            "input.several_series",
            f"{name} holds {len(wanted)} image series ({texts}), but one is needed.",
            f"Put the wanted series into a folder of its own, or use {_WORKFLOW} for all of them.",
        )
    if not wanted:
        raise refusals[0] if refusals else _no_image(found.others, name)
    (series,) = wanted
    if series.refusals:
        raise series.refusals[0]
    if len(series.volumes) > 1:
        titles = ", ".join(volume.title for volume in series.volumes)
        raise InputError(
            "input.several_volumes",
            f"{name} holds {len(series.volumes)} volumes ({titles}), but one is needed.",
            f"Put the wanted one into a folder of its own, or use {_WORKFLOW} for all of them.",
        )
    return series.volumes[0]


def _is_beside(error: SegmentationError) -> bool:
    return error.code in _BESIDE or isinstance(error, TooFewImages)


def _described(series: Series) -> str:
    count = sum(len(volume.slices) for volume in series.volumes)
    return f"{series.info.modality} with {count} images" if count else "one that cannot be used"


def _no_image(others: Mapping[str, int], name: str) -> InputError:
    dicom = sorted(modality for modality in others if modality)
    if dicom:
        what = f"holds DICOM files ({', '.join(dicom)}), but no CT or MR images"
    elif others:
        what = f"holds {sum(others.values())} files, but no DICOM images"
    else:
        what = "is empty"
    return InputError(
        "input.no_image",
        f"The folder {name} {what}.",
        "Choose the folder of a CT or MR series, or an image file.",
    )
