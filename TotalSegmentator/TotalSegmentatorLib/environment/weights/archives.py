"""Zip files from elsewhere: nothing is unpacked from one that was not looked through first.

Python's own unpacking makes the best of odd names, which hides an attack and differs between
operating systems. Here an archive is unpacked as it says, or not at all.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import SetupError

_BLOCK_BYTES = 1 << 20
# Files that are small when they are unpacked may be packed as tightly as they like.
_SMALL_BYTES = 100_000_000
_ENCRYPTED, _STRONGLY_ENCRYPTED, _REPARSE_POINT = 0x1, 0x40, 0x400
_LONGEST_PART, _LONGEST_NAME = 200, 240
# What Windows does not allow in names; a colon leads to another drive, or hides a file in a file.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.I | re.S
)


@dataclass(frozen=True)
class Caps:
    """What an archive may hold at most.

    :param members: files and folders.
    :param total_bytes: size of all files when they are unpacked.
    :param ratio: how many times larger they may be than the archive.
    """

    members: int = 10_000
    total_bytes: int = 20_000_000_000
    ratio: float = 100.0


def check_archive(archive: zipfile.ZipFile, caps: Caps | None = None) -> list[zipfile.ZipInfo]:
    """Look through an archive before anything is unpacked from it.

    :returns: its members: plain files and folders with names that stay inside a folder and mean the
        same on all operating systems, each once.
    :raises SetupError: ``weights.unsafe_archive``.
    """
    caps = caps or Caps()
    members = archive.infolist()
    if len(members) > caps.members:
        raise _unsafe(archive, f"it holds {len(members)} files")
    for member in members:
        reason = _reason(member)
        if reason:
            raise _unsafe(archive, f"{_shown(member.orig_filename)} {reason}")
    _check_collisions(archive, members)
    total = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if total > caps.total_bytes or (total > _SMALL_BYTES and total > caps.ratio * packed):
        raise _unsafe(archive, f"unpacked it would take {total / 1e6:.0f} MB")
    return members


def _reason(member: zipfile.ZipInfo) -> str:
    """Why a member is refused, as the end of a sentence; empty if it is not."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or member.external_attr & _REPARSE_POINT:
        return "is a link or a device"
    if member.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED):
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in an unusual way"
    # Not .filename, in which Python has cut and replaced what is odd.
    return "" if is_safe_name(member.orig_filename) else "is no safe name for a file"


def is_safe_name(name: str) -> bool:
    """Whether a name in an archive stays inside a folder and means the same everywhere.

    :param name: with ``/`` between folders; a folder's own ends with one.
    """
    parts = name.removesuffix("/").split("/")
    return len(name) <= _LONGEST_NAME and not any(map(_is_unsafe, parts))


def _is_unsafe(part: str) -> bool:
    return (
        part in ("", ".", "..")
        or len(part.encode("utf-8", "replace")) > _LONGEST_PART
        or part[-1] in ". "
        or bool(_FORBIDDEN.search(part))
        or bool(_DEVICES.fullmatch(part))
        or any("\ud800" <= letter <= "\udfff" for letter in part)
    )


def _check_collisions(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse names that are one file on some disks, and files that are folders, too."""
    files: set[str] = set()
    folders: set[str] = set()
    spelled: dict[str, str] = {}
    for member in members:
        path = PurePosixPath(member.orig_filename)
        for folder in [*path.parents][:-1] + ([path] if member.is_dir() else []):
            folders.add(_folded(folder))
            if spelled.setdefault(_folded(folder), str(folder)) != str(folder):
                raise _unsafe(archive, f"{_shown(str(folder))} stands there in two spellings")
        if member.is_dir():
            continue
        if _folded(path) in files:
            raise _unsafe(archive, f"{_shown(str(path))} stands there twice")
        files.add(_folded(path))
    if both := files & folders:
        raise _unsafe(archive, f"{_shown(min(both))} is a file and a folder there")


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(path)).casefold())


def _shown(name: str) -> str:
    """A name from an archive, short and harmless for a sentence."""
    return repr(name if len(name) <= 60 else name[:57] + "...")


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file to read from.

    :raises SetupError: ``weights.damaged_archive`` if it is none, or damaged; also for what is
        found while it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.header_offset < 0 for member in archive.infolist()):
                raise zipfile.BadZipFile("the beginning is missing")
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise SetupError(
            "weights.damaged_archive",
            f"{path.name} is damaged or no zip archive.",
            "Get it again.",
            str(error),
        ) from error


def sha256_of_open(archive: zipfile.ZipFile, on_block: Callable[[], None]) -> str:
    """The checksum of the very file that is open, whatever its name leads to by now.

    :param on_block: called after every megabyte; may raise.
    """
    digest, file = hashlib.sha256(), archive.fp
    assert file is not None
    file.seek(0)
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
        on_block()
    return digest.hexdigest()


def unpack(
    archive: zipfile.ZipFile,
    members: Sequence[zipfile.ZipInfo],
    folder: Path,
    on_bytes: Callable[[int], None],
    top: str = "",
) -> dict[str, str]:
    """Unpack members that were checked, to the disk itself.

    :param members: of :func:`check_archive`.
    :param folder: an empty folder.
    :param on_bytes: called again and again with the number of bytes just written; may raise.
    :param top: the folder of all members in the archive, which is left out; ends with ``/``.
    :returns: the SHA-256 of each file, by its path below the folder, as it was in the archive.
    """
    sums = {}
    for member in members:
        name = member.orig_filename.removeprefix(top)
        target = folder / name
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        with archive.open(member) as source:
            sums[name] = put(iter(lambda: source.read(_BLOCK_BYTES), b""), target, on_bytes)
    return sums


def put(blocks: Iterable[bytes], target: Path, on_bytes: Callable[[int], None]) -> str:
    """Write a new file, to the disk itself; returns the SHA-256 of what was to be written."""
    digest = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        for block in blocks:
            digest.update(block)
            file.write(block)
            on_bytes(len(block))
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _unsafe(archive: zipfile.ZipFile, reason: str) -> SetupError:
    name = Path(archive.filename or "The archive").name
    return SetupError(
        "weights.unsafe_archive",
        f"{name} was not unpacked: {reason}.",
        "Get it from the place where it was published, and report it if that does not help.",
    )
