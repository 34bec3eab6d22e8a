"""A private temporary folder for the files of one run, which holds patient data while it exists."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import SetupError

PREFIX = "tseg-"
# nnU-Net's processes talk through sockets below this folder, "/pymp-12345678/listener-12345678",
# and the path of a socket may have 103 characters (macOS; 107 on Linux).
_LONGEST_ROOT = 103 - len("/tseg-12345678/pymp-12345678/listener-12345678")
_LOCK = "owner.lock"
# What systems say of a lock that another process has.
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)


def try_lock(file: IO[bytes]) -> bool:
    """Take the lock of an open file without waiting; it is released when the file is closed.

    :returns: False if another process has it. Some network drives know no locks: work goes on
        without one there.
    """
    try:
        _lock(file)
    except OSError as error:
        return error.errno not in _TAKEN
    return True


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def default_root() -> Path:
    """The system's temporary folder, or /tmp where its name is too long for sockets in it."""
    root = tempfile.gettempdir()
    if os.name == "posix" and len(os.fsencode(root)) > _LONGEST_ROOT and os.access("/tmp", os.W_OK):
        return Path("/tmp")
    return Path(root)


def sweep(root: Path | None = None) -> list[Path]:
    """Remove the folders that crashed applications left behind.

    A folder whose lock can be taken has no living owner. (A lock, not a process id: ids are
    used again.)

    :param root: where to look; :func:`default_root` by default.
    :returns: the folders removed.
    """
    removed = []
    for folder in (root or default_root()).glob(PREFIX + "*"):
        try:
            with open(folder / _LOCK, "r+b") as file:
                # An empty one is not locked yet, see workspace().
                stale = bool(file.read(1))
                if stale:
                    _lock(file)
        except OSError:
            continue  # it has an owner, is another user's, or is just being made
        if stale:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def is_owned(folder: Path) -> bool:
    """Whether it is a folder of :func:`workspace` that shall go with its owner."""
    return folder.name.startswith(PREFIX) and (folder / _LOCK).exists()


def not_writable(error: Exception) -> SetupError:
    """The error for people where no temporary file can be written."""
    return SetupError(
        "disk.not_writable",
        "The temporary folder cannot be written to.",
        "Free some space on its disk, or set TMPDIR (Windows: TEMP) to another folder.",
        str(error),
    )


@contextmanager
def workspace(root: Path | None = None, keep: bool = False) -> Iterator[Path]:
    """A new folder that only this user can read, removed at the end whatever happens.

    :param root: where to make it; :func:`default_root` by default.
    :param keep: leave it in place, for the search for errors.
    :raises SetupError: ``disk.not_writable``.
    """
    try:
        sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root or default_root()))  # mode 0700
    except OSError as error:
        raise not_writable(error) from error
    try:
        with open(folder / _LOCK, "w+b") as file:
            try_lock(file)
            file.write(b"\0")  # after the lock: what a sweep can read, it cannot lock
            file.flush()
            yield folder
    finally:
        if keep:
            (folder / _LOCK).unlink(missing_ok=True)  # a sweep takes what has a lock only
        else:
            shutil.rmtree(folder, ignore_errors=True)
