"""The licence number: whether it is valid, and whether only its owner can read it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from ... import remedies
from ..findings import ERROR, OK, WARNING, Finding
from ..json_files import read_values
from ..licence import (
    EXPIRED,
    INVALID,
    NONE,
    OFFLINE,
    STORED,
    VALID,
    LicenceStatus,
    check_readable,
    is_of_another,
)


def state(status: LicenceStatus, config: Path) -> Finding:
    """The state of the licence number; only some tasks need one.

    :param config: the file that holds it.
    :raises SetupError: it is there and cannot be read.
    """
    check_readable(config)
    if status.state in (EXPIRED, INVALID):
        return Finding(
            "licence",
            WARNING,
            "The licence of the stored number has expired."
            if status.state == EXPIRED
            else "The stored licence number is not valid.",
            "Store a valid number, or remove this one.",
            remedies.OPEN_LICENCE,
        )
    if status.state != NONE and _is_shown_to_others(config):
        return Finding(
            "licence",
            WARNING,
            "Other users of this computer can read the licence number.",
            "Store the number again: then only you can read it.",
            remedies.OPEN_LICENCE,
        )
    if status.state == NONE and config.exists() and not read_values(config):
        return Finding(
            "licence",
            ERROR,
            "The settings file of the TotalSegmentator package is damaged, and runs fail at it.",
            f"Delete {config}, and store the licence number again if you had one.",
        )
    sentence = {
        NONE: "No licence number is stored, which only some tasks need.",
        STORED: "A licence number is stored.",
        VALID: "The stored licence number is valid.",
        OFFLINE: "A licence number is stored; it could not be checked.",
    }
    return Finding("licence", OK, sentence[status.state])


def _is_shown_to_others(config: Path) -> bool:
    """Whether others can read a file of this user's who need not be able to.

    Another user's file is shared on purpose. Some disks have no permissions and show any: there, as
    on Windows, something else decides who may read.
    """
    if sys.platform == "win32" or is_of_another(config) or not _is_open(config.stat()):
        return False
    try:
        with tempfile.TemporaryFile(dir=config.parent) as private:
            return not _is_open(os.fstat(private.fileno()))
    except OSError:  # nor could the number be stored again
        return False


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & 0o077)
