"""Small JSON files that hold settings: read leniently, written whole or not at all.

Standard library only: the application side is made with this package before NumPy is there.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import SetupError

# How long a virus scanner or an indexing service may hold a file of ours, in seconds.
_PATIENCE_S = 10.0
# What Windows says then: access denied, sharing violation.
_HELD = (5, 32)


def read_values(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no such file, or if it holds something else."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def replace(source: Path, target: Path) -> None:
    """Rename a file or a folder as :func:`os.replace` does.

    On Windows it is tried again for some seconds, as other programs hold new files for a while.

    :raises OSError: it cannot be done.
    """
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            os.replace(source, target)
            return
        except OSError as error:
            if getattr(error, "winerror", None) not in _HELD or time.monotonic() > end:
                raise
        time.sleep(0.2)


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a JSON file at once, for this user's eyes only; missing folders are made.

    On Windows the folder decides who may read it, and a user's own folders are private there.

    :raises SetupError: ``disk.full`` or ``disk.not_writable``; the file is as it was.
    """
    part = path.with_name(f".{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(json.dumps(values, indent=1).encode())
            stream.flush()
            os.fsync(stream.fileno())
        replace(part, path)
    except OSError as error:
        raise _not_written(path, error) from None  # the values are none of a traceback's business
    finally:
        with suppress(OSError):
            part.unlink()


def _not_written(path: Path, error: OSError) -> SetupError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupError(
            "disk.full",
            f"The disk is full; {path.name} was not written.",
            "Free some space, then try again.",
        )
    return SetupError(
        "disk.not_writable",
        f"{path.name} cannot be written ({error.strerror}).",
        "Check that you may write to its folder, then try again.",
        str(error),
    )
