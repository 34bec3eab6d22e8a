"""Pixels of DICOM files: whether they are all there, and their stored values.

pydicom decodes what it has a decoder for, SimpleITK (GDCM) the rest.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from ..images.failures import damaged, file_errors
from ..images.itk_files import quiet_itk
from .attributes import raise_if_of_system
from .volumes import Slice

_NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_JPEG = "1.2.840.10008.1.2.4."
#: What SimpleITK decodes: JPEG (8 and 12 bits, both lossless ones), JPEG-LS, JPEG 2000.
_BY_ITK = tuple(_JPEG + end for end in ("50", "51", "57", "70", "80", "81", "90", "91"))
PIXEL_DATA = 0x7FE00010
#: Also the pixels of parametric maps, and the content of a DICOMDIR.
_STOPS = (PIXEL_DATA, 0x7FE00008, 0x7FE00009, 0x00041220)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_LONG_VRS = ("OB", "OW", "UN")  # of pixel data: their length takes four bytes more
_PIXEL_KEYWORDS = (
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip


def can_decode(syntax: str) -> bool:
    """Whether pixels of a transfer syntax can be read here; an empty one is not compressed."""
    return not syntax or syntax in (*_NATIVE, RLELossless, *_BY_ITK) or _has_decoder(syntax)


def _has_decoder(syntax: str) -> bool:
    """Whether pydicom, with the packages that are there, decodes a compressed transfer syntax."""
    try:
        from pydicom.pixels import get_decoder
    except ImportError:  # pydicom 2, as in Slicer 5.10: it comes without decoders but for RLE
        return syntax == RLELossless
    try:
        return bool(get_decoder(UID(syntax)).is_available)
    except NotImplementedError:
        return False


class PixelData:
    """Ends pydicom's reading of a header where its pixels begin, and tells if they are whole.

    :ivar found: whether there are pixels at all.
    """

    def __init__(self) -> None:
        self.found = False
        self._head = 0
        self._length = 0

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        if tag == PIXEL_DATA:
            self.found = True
            self._head = 12 if vr in _LONG_VRS else 8
            self._length = length
        return tag in _STOPS

    def is_whole(self, file: BinaryIO, syntax: str, frames: int, expected: int) -> bool:
        """Whether a file holds all of its pixels.

        :param file: as pydicom left it, where the element of the pixels begins.
        :param expected: bytes of all frames if they are not compressed.
        """
        if not self.found:
            return False
        if self._length == _UNDEFINED:
            file.seek(self._head, os.SEEK_CUR)
            return _count_fragments(file) >= frames
        if (not syntax or syntax in _NATIVE) and self._length < expected:
            return False
        if syntax == DeflatedExplicitVRLittleEndian:
            return True  # inflated already
        end = file.tell() + self._head + self._length
        return end <= os.fstat(file.fileno()).st_size


def _count_fragments(file: BinaryIO) -> int:
    """Fragments of compressed pixels up to their end, without the table of offsets; -1 if the file
    ends before them."""
    count = -1
    while len(head := file.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", head)
        if (group, element) == _END:
            return count
        if (group, element) != _ITEM:
            break
        file.seek(length, os.SEEK_CUR)
        count += 1
    return -1


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of a file.

    :param values: stored values, shape (frames, rows, columns).
    :param padding: the lowest and the highest stored value that mean that nothing was measured;
        (1, 0) if there are none.
    """

    values: np.ndarray
    padding: tuple[int, int]


def read_pixels(one: Slice, folder: Path) -> Pixels:
    """Decode all frames of the file of a slice.

    :param folder: private, for what SimpleITK reads.
    :raises InputError: ``input.damaged``, ``input.not_found``, ``input.not_readable``.
    """
    name = one.path.name
    with file_errors(name):
        try:
            dataset = pydicom.dcmread(one.path, force=True)
            values = _decoded(dataset, folder).reshape(-1, one.rows, one.columns)
            pixels = Pixels(values, _padding(dataset, values.dtype))
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever damaged pixels lead them to
            raise_if_of_system(error)
            raise damaged(name, type(error).__name__) from error
    if len(values) != one.frames or values.dtype.kind not in "iu":
        raise damaged(name, f"{len(values)} frames of {values.dtype}")
    return pixels


def _decoded(dataset: Dataset, folder: Path) -> np.ndarray:
    pixels = dataset.get_item(PIXEL_DATA)
    meta = dataset.file_meta
    if not meta.get("TransferSyntaxUID"):  # pydicom has guessed it, but does not say so there
        explicit = ExplicitVRLittleEndian if pixels.is_little_endian else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if pixels.is_implicit_VR else explicit
    if meta.TransferSyntaxUID in _NATIVE:
        return _native(dataset)
    if _has_decoder(meta.TransferSyntaxUID):
        return dataset.pixel_array
    return _by_itk(dataset, folder)


def _native(dataset: Dataset) -> np.ndarray:
    """Values that are not compressed, without the bits above them, where old scanners keep
    overlays; but padding may need those."""
    unused = max(dataset.BitsAllocated - dataset.get("BitsStored", dataset.BitsAllocated), 0)
    dataset.BitsStored, dataset.HighBit = dataset.BitsAllocated, dataset.BitsAllocated - 1
    raw = dataset.pixel_array  # pydicom 3 would cut off bits that are not stored
    if not unused:
        return raw
    values = raw << unused
    values >>= unused
    low, high = _padding(dataset, raw.dtype)
    return np.where((raw >= low) & (raw <= high), raw, values)


def _by_itk(dataset: Dataset, folder: Path) -> np.ndarray:
    """Pixels decoded by SimpleITK, from a file that holds nothing of the patient but them."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # pydicom counts
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage  # has no rescale
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    path = folder / "pixels.dcm"
    plain = FileDataset(str(path), {}, bytes(128), meta, False, True)
    plain.SOPClassUID, plain.SOPInstanceUID = SecondaryCaptureImageStorage, "2.25.1"
    for keyword in _PIXEL_KEYWORDS:
        if keyword in dataset:
            plain[keyword] = dataset[keyword]
    plain.save_as(path)
    with quiet_itk():
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    kind = "i" if dataset.PixelRepresentation else "u"
    return array.astype(f"{kind}{dataset.BitsAllocated // 8}")


def _padding(dataset: Dataset, stored: np.dtype) -> tuple[int, int]:
    """The range of padding in the type of the pixels: headers write -2000 as 63536 too."""
    ends = [dataset.get(k) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    values = [int(np.int64(end).astype(stored)) for end in ends if isinstance(end, int)]
    return (min(values), max(values)) if isinstance(ends[0], int) else (1, 0)
