"""The frames of a segmentation, encoded: what describes each of them, and their pixels.

highdicom and pydicom make a dataset of five levels for each frame and encode it element by element;
of ten thousand frames that takes most of the time. Here every piece is encoded once, for all frames
that share it, and the pixels are packed as they are written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.sr.codedict import codes

from ..orders import SourceSlice
from .files import encoded
from .template import decimals

_SHORT_ELEMENT = struct.Struct("<HH2sH")  # group, element, VR, length
_LONG_ELEMENT = struct.Struct("<HH2sHI")  # group, element, VR, nothing, length
_ITEM = struct.Struct("<HHI")  # group, element, length
_UNDEFINED = 0xFFFFFFFF
_LONGEST_RUN = 128
_RLE_HEADER = struct.Struct("<16I")  # number of segments, and where each of them begins

#: What a value of an element with a length may have at most.
MOST_BYTES = 0xFFFFFFFE


def frame_groups(frames: Sequence[tuple[int, int]], slices: Sequence[SourceSlice]) -> bytes:
    """The element Per-frame Functional Groups Sequence.

    :param frames: number of the segment, and index of the slice, of each frame; all numbers are 0
        if every frame has all segments.
    :param slices: the images that the frames come from.
    """
    numbers = {number for number, _ in frames} - {0}
    used = sorted({k for _, k in frames})
    rank = {k: n for n, k in enumerate(used, 1)}
    shared = _codes()
    places = {k: _place(slices[k], *shared) for k in used}
    segments = {0: b"", **{number: _segment(number) for number in numbers}}
    groups = []
    for number, k in frames:
        derivation, position = places[k]
        content = _content((number, rank[k]) if number else (rank[k],))
        groups.append(derivation + content + position + segments[number])  # in the order of tags
    return _sequence("PerFrameFunctionalGroupsSequence", *groups)


def _codes() -> tuple[bytes, bytes]:
    """Derivation Code Sequence and Purpose of Reference Code Sequence of all frames."""
    derivation = CodedConcept.from_code(codes.DCM.SegmentationImageDerivation)
    purpose = CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    return (
        _sequence("DerivationCodeSequence", encoded(derivation)),
        _sequence("PurposeOfReferenceCodeSequence", encoded(purpose)),
    )


def _place(one: SourceSlice, derivation: bytes, purpose: bytes) -> tuple[bytes, bytes]:
    """Derivation Image Sequence and Plane Position Sequence of a slice.

    :param derivation, purpose: see :func:`_codes`.
    """
    image = Dataset()
    image.ReferencedSOPClassUID = one.sop_class
    image.ReferencedSOPInstanceUID = one.sop_instance
    if one.frame:
        image.ReferencedFrameNumber = one.frame
    image.SpatialLocationsPreserved = "YES"
    position = Dataset()
    position.ImagePositionPatient = decimals(one.position)
    images = _sequence("SourceImageSequence", encoded(image) + purpose)
    return (
        _sequence("DerivationImageSequence", images + derivation),
        _sequence("PlanePositionSequence", encoded(position)),
    )


def _content(indices: Sequence[int]) -> bytes:
    """Frame Content Sequence with its Dimension Index Values."""
    values = struct.pack(f"<{len(indices)}I", *indices)
    element = _SHORT_ELEMENT.pack(0x0020, 0x9157, b"UL", len(values)) + values
    return _sequence("FrameContentSequence", element)


def _segment(number: int) -> bytes:
    """Segment Identification Sequence."""
    item = Dataset()
    item.ReferencedSegmentNumber = number
    return _sequence("SegmentIdentificationSequence", encoded(item))


def _sequence(keyword: str, *items: bytes) -> bytes:
    """A sequence of encoded items."""
    tag = tag_for_keyword(keyword)
    assert tag
    value = b"".join(map(_item, items))
    return _LONG_ELEMENT.pack(tag >> 16, tag & 0xFFFF, b"SQ", 0, len(value)) + value


def _item(value: bytes) -> bytes:
    return _ITEM.pack(0xFFFE, 0xE000, len(value)) + value


def bitmap_bytes(frames: int, pixels: int) -> int:
    """Size of the pixel data of bitmaps: frames follow each other without a gap."""
    return -(-frames * pixels // 16) * 2


def bitmaps(masks: Iterable[np.ndarray], size: int) -> Iterator[bytes]:
    """The element Pixel Data of bitmaps: eight pixels in a byte, the first one lowest.

    :param masks: (rows, columns) bool, of each frame.
    :param size: see :func:`bitmap_bytes`.
    """
    yield _LONG_ELEMENT.pack(0x7FE0, 0x0010, b"OB", 0, size)
    written, rest = 0, np.zeros(0, bool)
    for mask in masks:
        bits = np.concatenate([rest, mask.ravel()])
        whole = bits.size // 8 * 8
        rest = bits[whole:]
        written += whole // 8
        yield np.packbits(bits[:whole], bitorder="little").tobytes()
    yield np.packbits(rest, bitorder="little").tobytes().ljust(size - written, b"\0")


def labelmaps(planes: Iterable[np.ndarray]) -> Iterator[bytes]:
    """The element Pixel Data of labelmaps, with RLE (PS3.5, annex G).

    :param planes: (rows, columns) uint8 or uint16, of each frame.
    """
    items = [_item(_run_lengths(plane)) for plane in planes]
    offsets = np.cumsum([0, *map(len, items[:-1])], dtype="<u4")
    yield _LONG_ELEMENT.pack(0x7FE0, 0x0010, b"OB", 0, _UNDEFINED)
    yield _item(offsets.tobytes())
    yield from items
    yield _ITEM.pack(0xFFFE, 0xE0DD, 0)


def _run_lengths(plane: np.ndarray) -> bytes:
    """A frame: its bytes of highest value first, each kind as a segment."""
    kinds = plane.astype(plane.dtype.newbyteorder(">"), order="C").view(np.uint8)
    kinds = kinds.reshape(*plane.shape, plane.itemsize)
    segments = [_pack_bits(kinds[..., n]) for n in range(plane.itemsize)]
    places = [_RLE_HEADER.size]
    for segment in segments[:-1]:
        places.append(places[-1] + len(segment))
    header = [len(segments), *places, *[0] * (15 - len(places))]
    return b"".join([_RLE_HEADER.pack(*header), *segments])


def _pack_bits(values: np.ndarray) -> bytes:
    """PackBits of (rows, columns) uint8, of which all rows are encoded apart.

    A run of n equal bytes becomes 257 - n and the byte. For n = 1 that is 0, which means that one
    byte follows as it is, so all runs are written alike. Labels hardly ever change from pixel to
    pixel, where the other form, several bytes as they are, would be shorter.
    """
    begins = np.ones(values.shape, bool)
    np.not_equal(values[:, 1:], values[:, :-1], out=begins[:, 1:])
    places = np.flatnonzero(begins)
    lengths = np.diff(places, append=values.size)
    parts = -(-lengths // _LONGEST_RUN)
    ends = np.cumsum(parts) - 1
    sizes = np.full(ends[-1] + 1, _LONGEST_RUN)
    sizes[ends] = lengths - (parts - 1) * _LONGEST_RUN
    pairs = np.empty((sizes.size, 2), np.uint8)
    pairs[:, 0] = (257 - sizes) & 0xFF
    pairs[:, 1] = np.repeat(values.ravel()[places], parts)
    return pairs.tobytes()
