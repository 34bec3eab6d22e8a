"""NIfTI files: voxels in, voxels out, and label names in the header extension.

ITK reads truncated files silently, so the voxels are read here, in one pass with the check of
gzip's length and CRC.
"""

from __future__ import annotations

import gzip
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from .failures import damaged, too_large, truncated
from .image import Image, Notice
from .nifti_header import HEADER_BYTES, NiftiHeader, build_header, parse_header
from .whole_file import whole_file

MAX_DEFLATE_RATIO = 1032
"""No deflate stream grows more than this (zlib's technical details), so a header that claims more
is a lie, found before memory is taken for it."""

_CHUNK_BYTES = 1 << 24
GZIP_MAGIC = b"\x1f\x8b"
_GZIP_LEVEL = 4  # a fifth of level 6's time for 4 % more bytes of CT
_HEADER_BYTES_VERSION_1 = 348
_NAMES_CODE = 0  # what the official package writes; its readers take the first extension
_COMMENT_CODE = 6  # NIFTI_ECODE_COMMENT: plain text
_MAX_EXTENSION_BYTES = 1 << 22


def read_header(path: Path) -> NiftiHeader:
    """Read and check the header alone.

    :raises InputError: see :func:`~TotalSegmentatorLib.images.nifti_header.parse_header`.
    """
    with opened(path) as stream:
        return parse_header(_read_up_to(stream, HEADER_BYTES), path.name)


def read_voxels(path: Path, header: NiftiHeader) -> tuple[Image, tuple[Notice, ...]]:
    """Read the voxels to the file's end, with the header's scaling applied.

    :return: the image in the file's own type (float32 if scaled), and the header's notices.
    :raises InputError: ``input.truncated``, ``input.damaged``.
    :raises SetupError: ``memory.image_too_large``.
    """
    _check_file_size(path, header)
    with opened(path) as stream:
        _skip(stream, header.data_offset, path.name)
        array = _empty(header, path.name)
        _fill(stream, array, path.name)
        while stream.read(_CHUNK_BYTES):
            pass  # gzip checks length and CRC at the end of the stream
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if (header.slope, header.intercept) != (1.0, 0.0):
        array = array.astype(np.float32)
        array *= np.float32(header.slope)
        array += np.float32(header.intercept)
    return Image(array, header.ijk_to_ras), header.notices


def write(
    image: Image,
    path: Path,
    names: Mapping[int, str] | None = None,
    description: str = "",
    comment: str = "",
) -> None:
    """Write a NIfTI file of the array's own type, compressed if the name ends with .gz.

    The same image gives the same bytes: no time stamp is written.

    :param names: label names, written as a header extension that the official package reads.
    :param description: a few words for the header.
    :param comment: any text, written as a further header extension.
    :raises InputError, SetupError: see :func:`~.whole_file.whole_file`.
    """
    array = np.ascontiguousarray(image.array, dtype=image.array.dtype.newbyteorder("<"))
    # The names first: the official package reads the first extension only.
    extension = _extension(_NAMES_CODE, _label_table(names)) if names else b""
    extension += _extension(_COMMENT_CODE, comment.encode()) if comment else b""
    flag = b"\x01\0\0\0" if extension else b"\0\0\0\0"
    offset = _HEADER_BYTES_VERSION_1 + len(flag) + len(extension)
    header = build_header(array.shape, image.array.dtype, image.ijk_to_ras, offset, description)
    with whole_file(path) as part, part.open("wb") as file, _compressed(file, path) as stream:
        stream.write(header + flag + extension)
        stream.write(memoryview(array).cast("B"))


def read_label_names(path: Path) -> dict[int, str]:
    """Label values and names from the header extension; empty if there is none.

    :raises InputError: ``input.damaged`` if the extension is not what it should be.
    """
    header = read_header(path)
    with opened(path) as stream:
        _skip(stream, header.extension_offset, path.name)
        length = min(header.data_offset - header.extension_offset, _MAX_EXTENSION_BYTES)
        block = _read_up_to(stream, length)
    for content in _extensions(block, ">" if header.dtype.byteorder == ">" else "<"):
        if b"<CaretExtension" in content:
            return _parse_names(content, path.name)
    return {}


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The decompressed stream, judged by content; damage becomes an InputError."""
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file
        try:
            yield stream
        except EOFError as error:
            raise truncated(path.name, str(error)) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise damaged(path.name, str(error)) from error


@contextmanager
def _compressed(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    if path.name.lower().endswith(".gz"):
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield file


def _check_file_size(path: Path, header: NiftiHeader) -> None:
    with path.open("rb") as file:
        ratio = MAX_DEFLATE_RATIO if file.read(2) == GZIP_MAGIC else 1
    needed = header.data_offset + int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
    size = path.stat().st_size
    if size * ratio < needed:
        raise truncated(path.name, f"{size} bytes cannot hold {needed} bytes of voxels")


def _empty(header: NiftiHeader, name: str) -> np.ndarray:
    try:
        return np.empty(header.shape, header.dtype)
    except MemoryError as error:
        raise too_large(name, str(error)) from error


def _fill(stream: BinaryIO, array: np.ndarray, name: str) -> None:
    view = memoryview(array.view(np.uint8).reshape(-1))
    done = 0
    while done < len(view):
        count = stream.readinto(view[done : done + _CHUNK_BYTES])  # type: ignore[attr-defined]
        if not count:
            raise truncated(name, f"{done} of {len(view)} bytes")
        done += count


def _skip(stream: BinaryIO, count: int, name: str) -> None:
    """Move forward *count* bytes of a fresh stream."""
    if stream.seek(count) != count:
        raise truncated(name, f"the voxels should begin at byte {count}")


def _read_up_to(stream: BinaryIO, count: int) -> bytes:
    """*count* bytes, fewer only at the end of the stream."""
    data = b""
    while len(data) < count and (more := stream.read(count - len(data))):
        data += more
    return data


def _extension(code: int, content: bytes) -> bytes:
    """A header extension: esize, ecode, content padded to a multiple of 16 bytes."""
    size = -(-(len(content) + 8) // 16) * 16
    return struct.pack("<2i", size, code) + content.ljust(size - 8, b" ")


def _label_table(names: Mapping[int, str]) -> bytes:
    """The XML of a CaretExtension with label names."""
    root = ElementTree.Element("CaretExtension")
    volume = ElementTree.SubElement(root, "VolumeInformation", Index="0")
    table = ElementTree.SubElement(volume, "LabelTable")
    for value, name in names.items():
        ElementTree.SubElement(table, "Label", Key=str(int(value))).text = name
    ElementTree.SubElement(volume, "VolumeType").text = "Label"
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _extensions(block: bytes, byte_order: str) -> Iterator[bytes]:
    if block[:1] in (b"", b"\0"):
        return
    position = 4
    while position + 8 <= len(block):
        size, _ = struct.unpack_from(f"{byte_order}2i", block, position)
        if size < 16:
            return
        yield block[position + 8 : position + size]
        position += size


def _parse_names(content: bytes, name: str) -> dict[int, str]:
    # A document type could define entities that expand without end; no writer needs one.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise damaged(name, "the label table has a document type")
    try:
        root = ElementTree.fromstring(content.rstrip(b"\0 \n"))
        return {int(label.attrib["Key"]): label.text or "" for label in root.iter("Label")}
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise damaged(name, f"label table: {error}") from error
