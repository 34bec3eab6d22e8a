"""The text headers of NRRD and MetaImage files: what must be checked before ITK reads them.

NRRD: http://teem.sourceforge.net/nrrd/format.html; MetaImage:
https://itk.org/Wiki/ITK/MetaIO/Documentation. ITK follows a data file to any path, gives a
MetaImage whose compressed voxels are damaged, and puts an origin that is not a number at 0.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .failures import damaged, truncated
from .nifti import MAX_DEFLATE_RATIO

_MAX_HEADER_BYTES = 1 << 24
_CHUNK_BYTES = 1 << 24
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
_NRRD_POSITIONS = ("space directions", "space origin")
_META_POSITIONS = (
    "offset", "position", "origin",
    "transformmatrix", "rotation", "orientation",
    "elementspacing", "elementsize",
)  # fmt: skip


@dataclass(frozen=True)
class TextHeader:
    """A parsed header.

    :param itk_io: name of the ITK class that reads the format.
    :param fields: values by lower-case name (NRRD's ``key:=value`` pairs too).
    :param size: voxels along each axis of the file, fastest first.
    :param data_file: the file with the voxels: the image file itself or one beside it.
    :param data_start: where they begin in it, bytes.
    :param compressed: whether they are a deflate stream.
    """

    itk_io: str
    fields: dict[str, str]
    size: tuple[int, ...]
    data_file: Path
    data_start: int
    compressed: bool

    @property
    def states_orientation(self) -> bool:
        """Whether the file says which way its axes point in the patient."""
        if self.itk_io == "MetaImageIO":
            return True
        return self.fields.get("space", "").lower() not in ("", "scanner-xyz")


def is_nrrd(head: bytes) -> bool:
    """Whether bytes are the beginning of a NRRD file."""
    return head.startswith(b"NRRD000")


def is_meta_image(head: bytes) -> bool:
    """Whether bytes are the beginning of a MetaImage file."""
    return b"NDims" in head and b"=" in head.split(b"\n")[0]


def read_text_header(path: Path) -> TextHeader:
    """Parse and check a NRRD or MetaImage header.

    :raises InputError: ``input.damaged``, ``input.bad_geometry``, ``input.outside_data``,
        ``input.not_found`` (the data file).
    """
    with path.open("rb") as file:
        nrrd = is_nrrd(file.read(8))
        file.seek(0)
        lines, start = _lines(file.read(_MAX_HEADER_BYTES), nrrd)
    fields = _fields(lines, nrrd)
    _check_positions(fields, _NRRD_POSITIONS if nrrd else _META_POSITIONS, path.name)
    size = _size(fields.get("sizes" if nrrd else "dimsize", ""), path.name)
    if nrrd:
        stated = fields.get("data file", fields.get("datafile", ""))
        compressed = fields.get("encoding", "raw").lower() in ("gzip", "gz")
    else:
        stated = fields.get("elementdatafile", "LOCAL")
        compressed = fields.get("compresseddata", "").lower() == "true"
    local = stated in ("", "LOCAL", "Local", "local")
    return TextHeader(
        itk_io="NrrdImageIO" if nrrd else "MetaImageIO",
        fields=fields,
        size=size,
        data_file=path if local else _data_file_beside(path, stated),
        data_start=start if local else 0,
        compressed=compressed,
    )


def check_voxel_bytes(header: TextHeader, needed: int, name: str) -> None:
    """Refuse a file that cannot hold its voxels, or whose MetaImage compression is damaged.

    :param needed: bytes of all voxels by the header.
    :raises InputError: ``input.truncated``, ``input.damaged``.
    """
    encoding = header.fields.get("encoding", "raw").lower()
    ratio = 1 if not header.compressed and encoding == "raw" else MAX_DEFLATE_RATIO
    size = header.data_file.stat().st_size - header.data_start
    if size * ratio < needed:
        raise truncated(name, f"{size} bytes cannot hold {needed} bytes of voxels")
    if header.itk_io == "MetaImageIO" and header.compressed:
        _check_deflate(header, needed, name)


def _check_deflate(header: TextHeader, needed: int, name: str) -> None:
    """Decompress and forget: the only way to learn what ITK does not tell."""
    decompressor = zlib.decompressobj(_ZLIB_OR_GZIP)
    produced = 0
    try:
        with header.data_file.open("rb") as file:
            file.seek(header.data_start)
            while not decompressor.eof:
                data = decompressor.unconsumed_tail or file.read(_CHUNK_BYTES)
                if not data:
                    raise truncated(name, f"{produced} of {needed} bytes")
                produced += len(decompressor.decompress(data, _CHUNK_BYTES))
    except zlib.error as error:
        raise damaged(name, str(error)) from error
    if produced < needed:
        raise truncated(name, f"{produced} of {needed} bytes")


def _lines(content: bytes, nrrd: bool) -> tuple[list[str], int]:
    """The header's lines and where the voxels begin."""
    lines: list[str] = []
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        line = content[start:end].decode("utf-8", "replace").strip("\r ")
        start = end + 1
        if nrrd and not line:
            break
        lines.append(line)
        if not nrrd and line.lower().startswith("elementdatafile"):
            break
    return lines, start


def _fields(lines: list[str], nrrd: bool) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        separator = "=" if not nrrd else ":=" if ":=" in line else ":"
        name, found, value = line.partition(separator)
        if found and not line.startswith("#"):
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _check_positions(fields: dict[str, str], names: tuple[str, ...], image: str) -> None:
    for name in names:
        words = fields.get(name, "").translate(str.maketrans("(),", "   ")).split()
        numbers = [_number(word) for word in words if word != "none"]
        if not all(math.isfinite(number) for number in numbers):
            raise InputError(
                "input.bad_geometry",
                f"{image} has a position that is not a number.",
                "Export the image again from its source, or correct its header.",
                f"{name}: {fields[name]}",
            )


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _size(text: str, name: str) -> tuple[int, ...]:
    try:
        size = tuple(int(word) for word in text.split())
    except ValueError:
        size = ()
    if not size:
        raise damaged(name, f"size: {text!r}")
    if min(size) < 1:
        raise InputError(
            "input.bad_geometry",
            f"{name} has an impossible size in its header: {' x '.join(text.split())} voxels.",
            "Export the image again from its source.",
        )
    return size


def _data_file_beside(path: Path, stated: str) -> Path:
    remedy = "Save the image as one file (.nrrd or .mha)."
    if stated.split()[0].upper() == "LIST" or "%" in stated:
        raise InputError(
            "input.outside_data", f"{path.name} keeps its voxels in several files.", remedy
        )
    folder = path.parent.resolve()
    try:
        data_file = (folder / stated).resolve()
    except (ValueError, OSError) as error:  # no name of a file: a NUL in it, far too long
        raise damaged(path.name, str(error)) from error
    if not data_file.is_relative_to(folder):
        raise InputError(
            "input.outside_data",
            f"{path.name} refers to a data file outside of its own folder.",
            remedy,
            stated,
        )
    if not data_file.is_file():
        raise InputError(
            "input.not_found",
            f"{path.name} needs its data file {data_file.name}, which is not there.",
            "Put both files into one folder.",
        )
    return data_file
