"""Memory and disks: whether there is room, and whether files can be written."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .findings import ERROR, OK, UNKNOWN, WARNING, Finding

_GB = 1e9
_SMALL_MEMORY_GB, _LITTLE_FREE_GB = 12.0, 4.0
#: Room on a disk without which nothing works.
LEAST_GB = 0.5
# Letters that Windows gives to the name of a file, unless long names are switched on.
_LONGEST_NAME = 259
# Letters that follow the name of a folder in the longest name of a file there: of a model; of an
# environment while it is made, whose longest file that is opened has 158.
_BELOW = 149
_BELOW_ENGINE = len(".new~0123/") + 158


@dataclass(frozen=True)
class Place:
    """A folder that this product writes to.

    :param name: for programs: ``engine``, ``weights`` or ``temporary``.
    :param title: for people: what lies there.
    :param folder: it need not be there yet.
    :param other: how to get another folder, as the end of a sentence.
    :param wanted_gb: room that may be needed there, in GB (10**9 bytes).
    :param needed_gb: room without which nothing works there.
    :param below: letters that follow its name in the longest name of a file.
    """

    name: str
    title: str
    folder: Path
    other: str
    wanted_gb: float
    needed_gb: float = LEAST_GB
    below: int = _BELOW


@dataclass(frozen=True)
class Room:
    """What was found at a place.

    :param there: whether its drive is there.
    :param free_gb: room on its disk, in GB; None if that is not known.
    :param writable: whether files can be written.
    :param windows: whether some packages may fail at letters that are not ASCII.
    :param short_names: whether names of more than 260 letters fail.
    """

    place: Place
    there: bool = True
    free_gb: float | None = None
    writable: bool = False
    windows: bool = False
    short_names: bool = False


def engine_place(folder: Path, needed_gb: float, other: str) -> Place:
    """The place of an environment of the engine."""
    return Place("engine", "the engine", folder, other, needed_gb, needed_gb, _BELOW_ENGINE)


def look_at(place: Place) -> Room:
    """Look at a place; nothing is left there."""
    parents = (place.folder, *place.folder.parents)
    there = next((folder for folder in parents if os.path.exists(folder)), None)
    if there is None:
        return Room(place, there=False)
    try:
        with tempfile.TemporaryFile(dir=there):
            writable = True
    except OSError:
        writable = False
    try:
        free_gb = shutil.disk_usage(there).free / _GB
    except OSError:
        free_gb = None
    return Room(place, True, free_gb, writable, sys.platform == "win32", has_short_names())


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
    known = [(room.free_gb, room.place) for room in rooms if room.free_gb is not None]
    if not known:
        return Finding("disk", UNKNOWN, "The free disk space is not known.")
    full = [(free, place.needed_gb, place) for free, place in known if free < place.needed_gb]
    short = [(free, place.wanted_gb, place) for free, place in known if free < place.wanted_gb]
    for state, found in ((ERROR, full), (WARNING, short)):
        if found:
            free, needed, place = min(found, key=lambda one: one[0])
            return Finding(
                "disk",
                state,
                f"{needed:.1f} GB are needed for {place.title}, and {free:.1f} GB are free.",
                f"Free some space, or {place.other}.",
            )
    sizes = [f"{free:.1f} GB" for free, _ in known]
    free = ", ".join(f"{size} for {p.title}" for size, (_, p) in zip(sizes, known, strict=True))
    if len(set(sizes)) == 1:  # most likely one disk
        free = sizes[0]
    return Finding("disk", OK, f"Free on the disks: {free}.")


def folder(room: Room) -> Finding:
    """Whether a folder can be written to, and has a name that every package can use."""
    place = room.place
    check, path = f"folder.{place.name}", str(place.folder)
    if not room.there:
        message = f"The drive of the folder for {place.title} is not there."
        return Finding(check, ERROR, message, f"Connect it, or {place.other}.")
    if not room.writable:
        # Weights may lie in a folder that many share and one fills.
        state = WARNING if place.name == "weights" else ERROR
        message = f"You may not write to the folder for {place.title}."
        return Finding(check, state, message, f"Get access to it, or {place.other}.")
    if room.short_names and len(path) + place.below > _LONGEST_NAME:
        message = f"The name of the folder for {place.title} is too long for Windows."
        remedy = f"Let Windows use long paths, or {place.other}."
        return Finding(check, WARNING, message, remedy)
    if room.windows and not path.isascii():
        message = f"The folder for {place.title} has letters that some packages cannot use."
        return Finding(check, WARNING, message, f"If runs fail, {place.other}.")
    return Finding(check, OK, f"The folder for {place.title} can be written to.")
