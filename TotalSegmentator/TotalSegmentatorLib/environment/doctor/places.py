"""Memory and disks: whether there is room, and whether files can be written."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..findings import ERROR, OK, WARNING, Finding

_GB = 1e9
_SMALL_MEMORY_GB, _LITTLE_FREE_GB = 12.0, 4.0
_FULL_GB = 0.5


@dataclass(frozen=True)
class Place:
    """A folder that this product writes to.

    :param name: for programs: ``engine``, ``weights`` or ``temporary``.
    :param title: for people: what lies there.
    :param folder: it need not be there yet.
    :param needed_gb: room that is needed there, in GB (10**9 bytes).
    :param longest: letters that its name may have where Windows gives 260 to all names.
    :param other: how to get another folder, as the end of a sentence.
    """

    name: str
    title: str
    folder: Path
    needed_gb: float
    longest: int
    other: str


@dataclass(frozen=True)
class Room:
    """What was found at a place.

    :param free_gb: room on its disk, in GB.
    :param writable: whether files can be written.
    :param windows: whether some packages may fail at letters that are not ASCII.
    :param short_names: whether names of more than 260 letters fail.
    """

    place: Place
    free_gb: float
    writable: bool
    windows: bool = False
    short_names: bool = False


def look_at(place: Place) -> Room:
    """Look at a place; nothing is left there.

    :raises OSError: its disk cannot be asked.
    """
    parents = (place.folder, *place.folder.parents)
    there = next(folder for folder in parents if os.path.exists(folder))
    try:
        with tempfile.TemporaryFile(dir=there):
            writable = True
    except OSError:
        writable = False
    free_gb = shutil.disk_usage(there).free / _GB
    return Room(place, free_gb, writable, sys.platform == "win32", has_short_names())


def has_short_names() -> bool:
    """Whether long names of files fail: on Windows, unless somebody has switched them on."""
    if sys.platform != "win32":
        return False
    import winreg

    key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as system:
            return not winreg.QueryValueEx(system, "LongPathsEnabled")[0]
    except OSError:
        return True


def memory(total_bytes: int, free_bytes: int) -> Finding:
    """Whether main memory is large enough.

    :param free_bytes: what of it can be used.
    """
    total, free = total_bytes / _GB, free_bytes / _GB
    found = f"{free:.1f} of {total:.1f} GB of memory are free"
    if total < _SMALL_MEMORY_GB:
        return Finding(
            "memory",
            WARNING,
            f"{found}, which is little: large images may not fit at the speed normal.",
            "Use a faster speed, or segment a region.",
        )
    if free < _LITTLE_FREE_GB:
        return Finding("memory", WARNING, f"Only {found}.", "Close other programs before a run.")
    return Finding("memory", OK, f"{found}.")


def disk(rooms: Sequence[Room]) -> Finding:
    """Whether there is room on the disks."""
    sizes = [f"{room.free_gb:.1f} GB" for room in rooms]
    free = ", ".join(f"{size} for {r.place.title}" for size, r in zip(sizes, rooms, strict=True))
    if len(set(sizes)) == 1:  # most likely one disk
        free = sizes[0]
    short = [room for room in rooms if room.free_gb < room.place.needed_gb]
    if not short:
        return Finding("disk", OK, f"Free on the disks: {free}.")
    least = min(short, key=lambda room: room.free_gb)
    return Finding(
        "disk",
        ERROR if least.free_gb < _FULL_GB else WARNING,
        f"Too little is free on the disks: {free}.",
        f"Free {least.place.needed_gb:.0f} GB for {least.place.title}, or {least.place.other}.",
    )


def folders(rooms: Sequence[Room]) -> Iterator[Finding]:
    """Whether the folders can be written to, and have names that every package can use."""
    for room in rooms:
        place = room.place
        check, path = f"folder.{place.name}", str(place.folder)
        if not room.writable:
            # Weights may lie in a folder that many share and one fills.
            state = WARNING if place.name == "weights" else ERROR
            message = f"You may not write to the folder for {place.title}."
            yield Finding(check, state, message, f"Get access to it, or {place.other}.")
        elif room.short_names and len(path) > place.longest:
            message = f"The name of the folder for {place.title} is too long for Windows."
            remedy = f"Let Windows use long paths, or {place.other}."
            yield Finding(check, WARNING, message, remedy)
        elif room.windows and not path.isascii():
            message = f"The folder for {place.title} has letters that some packages cannot use."
            yield Finding(check, WARNING, message, f"If runs fail, {place.other}.")
        else:
            yield Finding(check, OK, f"The folder for {place.title} can be written to.")
