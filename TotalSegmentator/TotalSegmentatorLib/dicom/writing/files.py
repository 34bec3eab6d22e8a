"""Files of DICOM objects, whose largest parts are streamed to them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian


def encoded(dataset: Dataset) -> bytes:
    """The elements of a dataset in explicit VR little endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def write_object(path: Path, dataset: Dataset, rest: Iterable[bytes] = ()) -> None:
    """Write a DICOM file in explicit VR little endian, deflated if its transfer syntax says so.

    :param dataset: with its file meta information.
    :param rest: elements that follow it, encoded and in pieces of any size, so that nobody has to
        hold all of them. Their tags come after those of the dataset.
    """
    meta = DicomBytesIO()
    write_file_meta_info(meta, dataset.file_meta)
    body: Iterable[bytes] = chain([encoded(dataset)], rest)
    if dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        body = _deflated(body)
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM" + meta.getvalue())
        for piece in body:
            file.write(piece)


def _deflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Without zlib's header, and of even length, as DICOM (PS3.5, A.5) wants it."""
    deflater, length = zlib.compressobj(wbits=-zlib.MAX_WBITS), 0
    for piece in pieces:
        found = deflater.compress(piece)
        length += len(found)
        yield found
    last = deflater.flush()
    yield last + bytes((length + len(last)) % 2)
