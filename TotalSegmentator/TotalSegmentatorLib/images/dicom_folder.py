"""A folder with one DICOM series, read by SimpleITK (GDCM) after its slices are checked.

GDCM alone is silent about missing and doubled slices, mixed orientations, tilted gantries and
dropped damaged files, so every slice's position is checked here and the matrix is made of them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .failures import damaged, too_large
from .geometry import MIN_VOXELS, check_geometry
from .image import Image, Notice
from .itk_files import quiet_itk

_VOLUME_MODALITIES = ("CT", "MR", "PT")
_TASK_MODALITIES = ("CT", "MR")
_MAX_FILES = 20_000
_HEAD_BYTES = 1 << 16
_GAP_TOLERANCE = 0.01  # of the distance between slices
_GAP_TOLERANCE_MM = 0.01
_LINE_TOLERANCE_MM = 0.1
_COSINE_TOLERANCE = 1e-3
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
_EXPORT_AGAIN = "Export the series again from its source, whole and by itself."


@dataclass(frozen=True)
class _Slice:
    """What the headers say about one file; positions and directions in LPS mm."""

    path: Path
    series: str
    sop: str
    modality: str
    size: tuple[int, int]
    frames: int
    components: int
    localizer: bool
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, ...]
    slope: float


def read_dicom_folder(folder: Path) -> tuple[Image, tuple[Notice, ...]]:
    """Read the one image series of a folder (and of folders in it; links are not followed).

    :raises InputError: ``input.no_image``, ``input.several_series``, ``input.series_geometry``,
        ``input.multiframe``, ``input.damaged``, ``input.not_scalar``, ``input.too_many_files``
        and those of :func:`~.geometry.check_geometry`.
    """
    slices, modalities = _scan(folder)
    localizers = [s for s in slices if s.localizer]
    slices = _one_series([s for s in slices if not s.localizer], modalities, folder.name)
    slices = _distinct(slices)
    _check_alike(slices, folder.name)
    slices, matrix = _in_order(slices, folder.name)
    columns, rows = slices[0].size
    notices = check_geometry(matrix, (len(slices), rows, columns), folder.name)
    if localizers:
        text = f"{len(localizers)} localizer images of {folder.name} were left out."
        notices = (*notices, Notice("input.localizer", text))
    modality = slices[0].modality if slices[0].modality in _TASK_MODALITIES else ""
    return Image(_voxels(slices), matrix, modality), notices


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            count += 1
            if count > _MAX_FILES:
                raise InputError(
                    "input.too_many_files",
                    f"{folder.name} holds more than {_MAX_FILES} files.",
                    "Choose the folder of one series.",
                )
            path = Path(parent, name)
            if path.is_file() and path.stat().st_size:  # neither a pipe nor a device
                yield path


def _scan(folder: Path) -> tuple[list[_Slice], Counter[str]]:
    """The image slices, and what else there is: file counts by modality ('' is not DICOM)."""
    slices: list[_Slice] = []
    others: Counter[str] = Counter()
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    with quiet_itk():
        for path in _files(folder):
            found = _read_slice(reader, path)
            modality = found.modality if found else _modality(path)
            if found and modality in _VOLUME_MODALITIES:
                slices.append(found)
            elif modality in _VOLUME_MODALITIES:
                raise damaged(path.name, "GDCM cannot read the file")
            else:
                others[modality] += 1
    return slices, others


def _read_slice(reader: sitk.ImageFileReader, path: Path) -> _Slice | None:
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None

    def text(tag: str) -> str:
        return reader.GetMetaData(tag).strip(" \0") if reader.HasMetaDataKey(tag) else ""

    return _Slice(
        path=path,
        series=text("0020|000e"),
        sop=text("0008|0018"),
        modality=text("0008|0060"),
        size=(reader.GetSize()[0], reader.GetSize()[1]),
        frames=int(text("0028|0008") or 1),
        components=reader.GetNumberOfComponents(),
        localizer="LOCALIZER" in text("0008|0008").upper().split("\\"),
        position=_numbers(text("0020|0032")),
        orientation=_numbers(text("0020|0037")),
        pixel_spacing=_numbers(text("0028|0030")),
        slope=(_numbers(text("0028|1053")) or (1.0,))[0],
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split("\\")) if text else ()
    except ValueError:
        return ()


def _modality(path: Path) -> str:
    """The modality of a DICOM file that GDCM takes for no image (SEG, RTSTRUCT, SR), else ''.

    Element (0008,0060), VR CS, in little endian, explicit or implicit: enough for a message.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[128:132] != b"DICM":
        return ""
    found = re.search(
        rb"\x08\x00\x60\x00(?:CS[\x02-\x10]\x00|[\x02-\x10]\x00\x00\x00)([A-Z]+)", head
    )
    return found.group(1).decode() if found else "unknown"


def _one_series(slices: list[_Slice], others: Counter[str], name: str) -> list[_Slice]:
    series: dict[str, list[_Slice]] = {}
    for found in slices:
        series.setdefault(found.series, []).append(found)
    if len(series) > 1:
        texts = ", ".join(f"{s[0].modality} with {len(s)} images" for s in series.values())
        raise InputError(
            "input.several_series",
            f"{name} holds {len(series)} image series ({texts}), but one is needed.",
            "Put the wanted series into a folder of its own.",
        )
    if series:
        return slices
    dicom = sorted(modality for modality in others if modality)
    if dicom:
        what = f"holds DICOM files ({', '.join(dicom)}), but no CT or MR images"
    elif others:
        what = f"holds {sum(others.values())} files, but no DICOM images"
    else:
        what = "is empty"
    raise InputError(
        "input.no_image",
        f"The folder {name} {what}.",
        "Choose the folder of a CT or MR series, or an image file.",
    )


def _distinct(slices: Sequence[_Slice]) -> list[_Slice]:
    """Without copies of the same image (same SOP Instance UID, if there is one)."""
    kept = {found.sop or str(found.path): found for found in reversed(slices)}
    return list(reversed(kept.values()))


def _check_alike(slices: Sequence[_Slice], name: str) -> None:
    first = slices[0]
    if any(found.frames > 1 for found in slices):
        raise InputError(
            "input.multiframe",
            f"{name} is an enhanced multi-frame series, which is not supported yet.",
            "Convert it to NIfTI first, for example with dcm2niix.",
        )
    if any(found.components != 1 for found in slices):
        raise InputError(
            "input.not_scalar",
            f"{name} has colour images, not intensities.",
            "Choose the original series.",
        )
    for found in slices:
        lengths = len(found.position), len(found.orientation), len(found.pixel_spacing)
        if lengths != (3, 6, 2):
            raise _bad_series(f"{name} has images without position, orientation or spacing.")
        if found.slope == 0:
            raise _bad_series(f"{name} has images with a rescale slope of 0.")
        if found.size != first.size or not np.allclose(
            found.pixel_spacing, first.pixel_spacing, rtol=1e-3
        ):
            raise _bad_series(f"{name} has images of different size or pixel spacing.")
        if not np.allclose(found.orientation, first.orientation, atol=_COSINE_TOLERANCE):
            raise _bad_series(f"{name} has images of different orientation.")


def _in_order(slices: Sequence[_Slice], name: str) -> tuple[list[_Slice], np.ndarray]:
    """Slices along their normal, and ijk_to_ras.

    Axes by DICOM PS3.3 C.7.6.2.1.1: i along a row (column spacing), j along a column (row
    spacing), k from the first position to the last one.
    """
    if len(slices) < MIN_VOXELS:
        raise InputError(
            "input.too_small",
            f"{name} has {len(slices)} slices; at least {MIN_VOXELS} are needed.",
            "Choose the whole series.",
        )
    row, column = np.reshape(slices[0].orientation, (2, 3))
    normal = np.cross(row, column)
    heights = [float(normal @ found.position) for found in slices]
    order = np.argsort(heights, kind="stable")
    slices = [slices[index] for index in order]
    _check_gaps(np.diff(np.sort(heights)), name)
    positions = np.array([found.position for found in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    line = positions[0] + np.arange(len(slices))[:, None] * step
    if np.abs(positions - line).max() > max(_LINE_TOLERANCE_MM, 0.1 * np.linalg.norm(step)):
        raise _bad_series(f"{name} has slices that are shifted against each other.")
    row_spacing, column_spacing = slices[0].pixel_spacing
    matrix = np.eye(4)
    matrix[:3, 0] = row * column_spacing * _LPS_TO_RAS
    matrix[:3, 1] = column * row_spacing * _LPS_TO_RAS
    matrix[:3, 2] = step * _LPS_TO_RAS
    matrix[:3, 3] = positions[0] * _LPS_TO_RAS
    return slices, matrix


def _check_gaps(gaps: np.ndarray, name: str) -> None:
    doubled = int(np.count_nonzero(gaps < _GAP_TOLERANCE_MM))
    if doubled:
        raise _bad_series(
            f"{name} has {doubled} slices at a place where there is one already.",
            "Put one phase or time point into a folder of its own.",
        )
    usual = float(np.median(gaps))
    tolerance = max(_GAP_TOLERANCE * usual, _GAP_TOLERANCE_MM)
    uneven = gaps[np.abs(gaps - usual) > tolerance]
    missing = np.rint(uneven / usual) - 1
    if not uneven.size:
        return
    if (missing >= 1).all() and (np.abs(uneven - (missing + 1) * usual) <= 2 * tolerance).all():
        raise _bad_series(f"{name} lacks {int(missing.sum())} slices inside the series.")
    raise _bad_series(
        f"{name} has slices at uneven distances, {gaps.min():.4g} to {gaps.max():.4g} mm."
    )


def _bad_series(message: str, remedy: str = _EXPORT_AGAIN) -> InputError:
    return InputError("input.series_geometry", message, remedy)


def _voxels(slices: Sequence[_Slice]) -> np.ndarray:
    """(K, J, I) with every slice's own rescale applied."""
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(found.path) for found in slices])
    if any(found.slope != slices[0].slope or found.slope % 1 for found in slices):
        reader.SetOutputPixelType(sitk.sitkFloat32)
    with quiet_itk():
        try:
            array = sitk.GetArrayFromImage(reader.Execute())
        except MemoryError as error:
            raise too_large(slices[0].path.parent.name, str(error)) from error
        except RuntimeError as error:
            raise damaged(_first_unreadable(slices), str(error)) from error
    columns, rows = slices[0].size
    if array.shape != (len(slices), rows, columns):
        raise damaged(_first_unreadable(slices), f"GDCM read {array.shape}")
    return array


def _first_unreadable(slices: Sequence[_Slice]) -> str:
    for found in slices:
        try:
            sitk.ReadImage(str(found.path), imageIO="GDCMImageIO")
        except RuntimeError:
            return found.path.name
    return slices[0].path.parent.name
