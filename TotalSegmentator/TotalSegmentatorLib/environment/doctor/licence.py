"""The licence number: whether it is valid, and whether only its owner can read it."""

from __future__ import annotations

import sys
from pathlib import Path

from ... import remedies
from ..findings import ERROR, OK, WARNING, Finding
from ..json_files import read_values
from ..licence import LicenceStatus


def state(status: LicenceStatus, config: Path) -> Finding:
    """The state of the licence number.

    :param config: the file that holds it.
    """
    if status.state in ("expired", "invalid"):
        return Finding(
            "licence",
            ERROR,
            "The licence of the stored number has expired."
            if status.state == "expired"
            else "The stored licence number is not valid.",
            "Store a valid number, or remove this one.",
            remedies.OPEN_LICENCE,
        )
    if status.state != "none" and _is_readable_by_others(config):
        return Finding(
            "licence",
            WARNING,
            "Other users of this computer can read the licence number.",
            "Store the number again: then only you can read it.",
            remedies.OPEN_LICENCE,
        )
    if status.state == "none" and config.exists() and not read_values(config):
        return Finding(
            "licence",
            ERROR,
            "The settings file of the TotalSegmentator package is damaged, and runs fail at it.",
            f"Delete {config}, and store the licence number again if you had one.",
        )
    sentence = {
        "none": "No licence number is stored. Only some tasks need one.",
        "stored": "A licence number is stored.",
        "valid": "The stored licence number is valid.",
        "offline": "A licence number is stored; it could not be checked.",
    }
    return Finding("licence", OK, sentence[status.state])


def _is_readable_by_others(config: Path) -> bool:
    return sys.platform != "win32" and bool(config.stat().st_mode & 0o077)
