"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError, SetupError


@contextmanager
def whole_file(path: Path, suffix: str = "") -> Iterator[Path]:
    """Give a name to write to, and rename it to *path* when the block ends well.

    :param path: the final name; an existing file is replaced, missing folders are made.
    :param suffix: what the name must end with for the library that writes it.
    :raises SetupError: ``disk.full``.
    :raises InputError: ``output.not_writable`` for other failures of the file system.
    """
    part = path.with_name(f".{secrets.token_hex(4)}.part{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):  # the folder may be none: that was said already
            part.unlink()


def write_error(path: Path, error: OSError) -> InputError | SetupError:
    """The error for people that stands for one of the file system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupError(
            "disk.full",
            f"The disk is full; {path.name} was not written.",
            "Free some space or choose another folder.",
            str(error),
        )
    return InputError(
        "output.not_writable",
        f"{path.name} cannot be written: {error.strerror}.",
        "Choose a folder you may write to.",
        str(error),
    )
