"""Checksums of files that may be large."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 20


def sha256_of(path: Path, on_block: Callable[[], None] = lambda: None) -> str:
    """The SHA-256 of a file, in hexadecimal digits.

    :param on_block: called after every megabyte; may raise, to stop.
    """
    return _digest_of(path, hashlib.sha256(), on_block)


def md5_of(path: Path, on_block: Callable[[], None] = lambda: None) -> str:
    """The MD5 of a file, in hexadecimal digits: for files of which nothing better is published.

    :param on_block: as for :func:`sha256_of`.
    """
    return _digest_of(path, hashlib.md5(usedforsecurity=False), on_block)


def _digest_of(path: Path, digest: Any, on_block: Callable[[], None]) -> str:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            on_block()
    return digest.hexdigest()
