"""A private temporary folder for the files of one run, which holds patient data while it exists."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# Short, because sockets lie below it and their paths may have 104 characters (macOS).
PREFIX = "tseg-"
_LOCK = "owner.lock"


def _lock(file: IO[bytes]) -> bool:
    """Take the lock of an open file without waiting; it is released when its process ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(root: Path | None = None) -> list[Path]:
    """Remove the folders that crashed applications left behind.

    A folder whose lock can be taken has no living owner. (A lock, not a process id: ids are
    used again.)

    :param root: where to look; the system's temporary folder by default.
    :returns: the folders removed.
    """
    removed = []
    for folder in Path(root or tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            with open(folder / _LOCK, "r+b") as file:
                stale = _lock(file)
        except OSError:
            continue  # another user's, or just being made
        if stale:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


@contextmanager
def workspace(root: Path | None = None, keep: bool = False) -> Iterator[Path]:
    """A new folder that only this user can read, removed at the end whatever happens.

    :param root: where to make it; the system's temporary folder by default.
    :param keep: leave it in place, for the search for errors.
    """
    sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))  # mode 0700
    try:
        with open(folder / _LOCK, "w+b") as file:
            file.write(b"\0")
            file.flush()
            _lock(file)
            # A child process must not inherit the lock, or it would outlive this process.
            os.set_inheritable(file.fileno(), False)
            yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
