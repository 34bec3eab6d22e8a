"""Checks of the output, made before minutes are spent on its content."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from .reading import file_suffix


def check_output(
    path: str | Path,
    overwrite: bool = False,
    source: str | Path | None = None,
    suffixes: Sequence[str] = (),
) -> None:
    """Refuse an output file that could not or should not be written.

    Folders that do not exist yet are made when the file is written.

    :param path: the file to be written.
    :param overwrite: whether an existing file may be replaced.
    :param source: the input, which is never changed: a file or the folder of a series.
    :param suffixes: the suffixes that can be written; empty: any.
    :raises InputError: ``output.unknown_format``, ``output.is_input``, ``output.is_folder``,
        ``output.exists``, ``output.not_writable``.
    """
    path = Path(os.path.abspath(path))
    if suffixes and file_suffix(path) not in suffixes:
        raise InputError(
            "output.unknown_format",
            f"{path.name} has no suffix of a format that can be written.",
            f"Use one of {', '.join(suffixes)}.",
        )
    if source is not None:
        _check_apart(path, Path(source))
    if path.is_dir():
        raise InputError(
            "output.is_folder", f"{path.name} is a folder.", "Give the name of a file in it."
        )
    if path.exists() and not overwrite:
        raise InputError(
            "output.exists",
            f"{path.name} exists already.",
            "Choose another name or allow overwriting.",
        )
    _check_writable(path)


def _check_apart(path: Path, source: Path) -> None:
    source = source.resolve()
    if path.resolve() == source or (source.is_dir() and path.resolve().is_relative_to(source)):
        raise InputError(
            "output.is_input",
            f"{path.name} would change the input.",
            "Choose another name or folder for the output.",
        )


def _check_writable(path: Path) -> None:
    """Try it: permission bits do not tell of read-only drives and foreign file systems."""
    folder = next(parent for parent in path.parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            "output.not_writable",
            f"{path.name} cannot be written: {error.strerror}.",
            "Choose a folder you may write to.",
            str(error),
        ) from error
