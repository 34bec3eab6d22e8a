"""Checksums of files that may be large."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def sha256_of(path: Path, on_block: Callable[[], None] = lambda: None) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    :param on_block: called after every megabyte; may raise, to stop.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            on_block()
    return digest.hexdigest()
