"""What a bundle is: a zip file whose first member lists all others with their size and checksum.

Nothing in it is compressed, and names follow a few patterns, so that it can neither unfold to more
than its own size nor write outside of a folder. The checksums find damage; they do not say who made
it.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from ... import __version__
from ...errors import SetupError

FORMAT = 1
MANIFEST = "manifest.json"
#: The folders in a bundle: packages as they are published, archives of weights, and a Python in a
#: folder of its release, as uv looks for it.
WHEELS, WEIGHTS, PYTHON = "wheels", "weights", "python"
_NAME = re.compile(
    rf"{WHEELS}/\w[\w.]*-[\w.+!-]+(\.whl|\.tar\.gz)"
    rf"|{WEIGHTS}/\w+_[\w.-]*\w\.zip"
    rf"|{PYTHON}/\d+/cpython-[\w.+-]+\.tar\.gz",
    re.ASCII,
)
# What else it says; people are shown it.
_WORD = re.compile(r"[\w.+-]{0,40}", re.ASCII)
_NOTE = (
    "Every package and all weights keep their own licences, which lie inside of them. "
    "Weights that need a licence number are never part of a bundle. Weights whose terms must be "
    "accepted are if whoever made it has accepted them; whoever uses them must accept them, too."
)
_LONGEST_MANIFEST = 1_000_000
_ENCRYPTED = 0x1
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file in a bundle.

    :param name: with ``/`` between folder and file.
    :param size: in bytes.
    :param sha256: checksum of its content.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Contents:
    """What a bundle says of itself.

    :param product: version of the extension that made it.
    :param made: day, as ``2026-11-21``.
    :param members: all files in it, but for the list itself.
    :param lock: version of the lock that its packages follow; empty if it holds none.
    :param system: what its packages are for, as :attr:`~..lock.Target.system`; empty if it holds
        none.
    :param python: version of Python for its packages, e.g. ``3.12``; empty if it holds none.
    :param torch_build: id of the build of PyTorch in it; empty if it holds no packages.
    """

    product: str
    made: str
    members: tuple[Member, ...]
    lock: str = ""
    system: str = ""
    python: str = ""
    torch_build: str = ""

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(member.size for member in self.members)

    def within(self, folder: str) -> tuple[Member, ...]:
        """The files in one of its folders."""
        return tuple(m for m in self.members if m.name.startswith(folder + "/"))

    def to_json(self) -> str:
        """The text of the list in the bundle."""
        return json.dumps({"format": FORMAT, "note": _NOTE, **asdict(self)}, indent=1)


def read(path: Path) -> Contents:
    """What a bundle says of itself, if all but the bytes of its files agrees with it.

    :raises SetupError: ``bundle.unreadable``, ``bundle.not_one``, ``bundle.damaged`` or
        ``bundle.newer``.
    """
    with _opened(path) as archive:
        first, *others = archive.infolist() or [ZipInfo()]
        if first.filename != MANIFEST or first.file_size > _LONGEST_MANIFEST:
            raise _not_one(path)
        _check_plain(first, path)
        contents = _contents(archive.read(first), path)
        _check_files(others, contents, path)
    return contents


def unpack(path: Path, contents: Contents, folder: Path, on_bytes: Callable[[int], None]) -> None:
    """Copy all files of a bundle into a folder, and compare their bytes with the list.

    :param contents: of :func:`read`.
    :param on_bytes: called again and again with the number of bytes just copied; may raise.
    :raises SetupError: ``bundle.damaged``.
    """
    with _opened(path) as archive:
        for member in contents.members:
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member.name) as source, open(target, "xb") as stream:
                digest = _digest(source, on_bytes, stream)
            if digest != member.sha256:
                raise _damaged(path, f"{target.name} in it has changed")


def listed(folder: Path, on_bytes: Callable[[int], None]) -> tuple[Member, ...]:
    """All files below a folder as members of a bundle, in the order of their names.

    :param on_bytes: called again and again with the number of bytes just read; may raise.
    """
    members = []
    for path in files_below(folder):
        with open(path, "rb") as stream:
            digest = _digest(stream, on_bytes)
        members.append(Member(path.relative_to(folder).as_posix(), path.stat().st_size, digest))
    return tuple(members)


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write(target: Path, contents: Contents, folder: Path, on_bytes: Callable[[int], None]) -> None:
    """Write a bundle.

    :param folder: holds the files that the contents name.
    :param on_bytes: called again and again with the number of bytes just written; may raise.
    """
    with ZipFile(target, "w", ZIP_STORED) as archive:
        archive.writestr(_entry(MANIFEST), contents.to_json())
        for member in contents.members:
            put(archive, member.name, folder / member.name, on_bytes)


def put(archive: ZipFile, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
    """Store a file in an archive, always in the same way."""
    with open(path, "rb") as source, archive.open(_entry(name, path), "w") as target:
        _digest(source, on_bytes, target)


def _entry(name: str, path: Path | None = None) -> ZipInfo:
    info = ZipInfo(name)  # of 1980, so that the same files give the same archive
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.file_size = path.stat().st_size if path else 0  # large ones need another format
    return info


def _digest(
    source: IO[bytes], on_bytes: Callable[[int], None], target: IO[bytes] | None = None
) -> str:
    """The SHA-256 of all bytes, which are copied on the way if there is a target."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if target:
            target.write(chunk)
        on_bytes(len(chunk))
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise SetupError(
            "bundle.unreadable",
            f"{path.name} cannot be read ({error.strerror}).",
            "Give the name of a bundle that you may read.",
            str(error),
        ) from error
    if start != b"PK\x03\x04":
        raise _not_one(path)
    try:
        with ZipFile(path) as archive:
            yield archive
    # All that zipfile says of an archive that is cut off, changed or of a rare kind.
    except (BadZipFile, EOFError, KeyError, NotImplementedError, struct.error) as error:
        raise _damaged(path, "it is cut off, or bytes have changed", str(error)) from error


def _contents(text: bytes, path: Path) -> Contents:
    try:
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise _newer(path, values)
        members = tuple(Member(**member) for member in values["members"])
        right = all(
            _NAME.fullmatch(member.name) and type(member.size) is int and member.size >= 0
            for member in members
        )
        names = ("product", "made", "lock", "system", "python", "torch_build")
        said = {name: values[name] for name in names}
        if not all(map(_WORD.fullmatch, said.values())):
            raise ValueError("it says more than a word")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path, "its list cannot be read", str(error)) from error
    if not right:
        raise _damaged(path, "its list names files that do not belong there")
    return Contents(members=members, **said)


def _check_files(found: Sequence[ZipInfo], contents: Contents, path: Path) -> None:
    """Compare the archive's own directory with the list."""
    sizes = {member.name: member.size for member in contents.members}
    # On some systems, names that differ in case only are one file.
    if len({name.casefold() for name in sizes}) < len(contents.members):
        raise _damaged(path, "its list names a file twice")
    names = [info.filename for info in found]
    if missing := sorted(sizes.keys() - set(names)):
        raise _damaged(path, f"{missing[0]} is missing")
    if len(names) > len(sizes):
        raise _damaged(path, "it holds a file that its list does not name")
    for info in found:
        _check_plain(info, path)
        if info.file_size != sizes[info.filename]:
            raise _damaged(path, f"{info.filename} has another size")


def _check_plain(info: ZipInfo, path: Path) -> None:
    """Refuse links, devices, encrypted and compressed files, and places outside of the bundle."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    plain = (
        kind in (0, stat.S_IFREG)
        and 0 <= info.header_offset <= path.stat().st_size - info.file_size
        and info.compress_type == ZIP_STORED
        and info.compress_size == info.file_size
        and not info.flag_bits & _ENCRYPTED
    )
    if not plain:
        raise _damaged(path, f"{info.filename} is not a plain file")


def _not_one(path: Path) -> SetupError:
    return SetupError(
        "bundle.not_one",
        f"{path.name} is not a bundle.",
        "Give a file that 'bundle create' has made.",
    )


def _damaged(path: Path, what: str, details: str = "") -> SetupError:
    return SetupError(
        "bundle.damaged",
        f"The bundle {path.name} is damaged: {what}.",
        "Copy it once more from where it was made, or make it again.",
        details,
    )


def _newer(path: Path, values: Mapping[str, Any]) -> SetupError:
    return SetupError(
        "bundle.newer",
        f"The bundle {path.name} was made by another version of the extension, "
        f"{str(values.get('product'))[:20]}, and this is {__version__}.",
        "Use the same version on both computers.",
    )
