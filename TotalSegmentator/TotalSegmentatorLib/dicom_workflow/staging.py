"""A run's own folder in the output folder, from which whole files and folders appear in it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from ..environment.json_files import replace
from ..errors import InputError
from ..images.whole_file import write_error
from ..jobs.workspace import try_lock

#: Name of the folder.
FOLDER = ".slicer-totalsegmentator.part"
_LOCK = "lock"


@contextmanager
def alone_in(output: Path) -> Iterator[Path]:
    """The folder, for this run alone: no other run uses the output folder meanwhile.

    What a killed run has left in it is removed first, and all of it at the end. The lock says that
    it is the folder of such a run: one without it, or elsewhere, is left alone.

    :param output: the output folder, which is made if it is missing.
    :raises InputError: ``output.in_use`` if another run uses it, ``output.not_writable``.
    """
    folder = output / FOLDER
    try:
        lock = _locked(folder)
    except OSError as error:
        raise write_error(output, error) from error
    with lock:
        _clear(folder)
        try:
            yield folder
        finally:
            _clear(folder)
            if sys.platform == "win32":  # which removes no open file
                lock.close()
            with suppress(OSError):  # the disk is gone, or another run has the folder by now
                if os.listdir(folder) == [_LOCK]:  # else the lock is needed to sweep the rest
                    (folder / _LOCK).unlink()
                    folder.rmdir()


def _locked(folder: Path) -> IO[bytes]:
    path = folder / _LOCK
    check_place(folder.parent, PurePosixPath(FOLDER, _LOCK))
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = os.listdir(folder)
        if names and _LOCK not in names:
            raise InputError(
                "output.not_writable",
                f"The output folder has a folder {FOLDER} that is none of this command.",
                "Remove it, or choose another output folder.",
            )
        file = path.open("a+b")
        if not try_lock(file):
            file.close()
            raise InputError(
                "output.in_use",
                "Another run writes to this output folder.",
                "Wait for its end, or choose another output folder.",
            )
        # A run that ended just now may have removed the file: then it locks nothing.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _clear(folder: Path) -> None:
    """Remove what is in it, as far as the system lets us, but for the lock."""
    for name in sorted(set(os.listdir(folder)) - {_LOCK}) if folder.is_dir() else ():
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def check_place(output: Path, place: PurePosixPath) -> None:
    """See that no folder on the way to a file is a link, which may lead anywhere.

    :param place: of the file, below the output folder.
    :raises InputError: ``output.not_writable``.
    """
    expected = Path(os.path.realpath(output)) / place.parent
    if Path(os.path.realpath(output / place.parent)) != expected:
        raise InputError(
            "output.not_writable",
            f"The folder {place.parent.name} in the output folder is a link, or lies behind one.",
            "Remove the link, or choose another output folder.",
        )


def publish(source: Path, target: Path) -> None:
    """Move what a folder holds into another one on the same disk.

    A folder that is not there yet appears by one renaming, with all that is in it; files appear
    whole, and replace others.

    :raises InputError, SetupError: see :func:`~..images.whole_file.write_error`.
    """
    for path in sorted(source.iterdir()):
        place = target / path.name
        try:
            if path.is_dir() and place.is_dir():
                publish(path, place)
            else:
                replace(path, place)
        except OSError as error:
            raise write_error(place, error) from error
