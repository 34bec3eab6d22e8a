"""The files of a folder: no links are followed, and there are no more than studies have."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..images.failures import file_errors

MAX_FILES = 100_000
MAX_DEPTH = 32


def list_files(folder: Path) -> list[Path]:
    """All that is no folder in a folder and in those below it, in the order of names.

    :raises InputError: ``input.too_many_files``, ``input.not_found``, ``input.not_readable`` (also
        for a folder in it: images may be missing otherwise).
    """
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        _check(folder, Path(parent), len(files) + len(names))
        files += (Path(parent, name) for name in sorted(names))
    return files


def _check(folder: Path, parent: Path, count: int) -> None:
    if count > MAX_FILES:
        what = f"more than {MAX_FILES} files"
    elif len(parent.relative_to(folder).parts) > MAX_DEPTH:
        what = f"folders in folders, more than {MAX_DEPTH} deep"
    else:
        return
    raise InputError(
        "input.too_many_files", f"{folder.name} holds {what}.", "Choose the folder of one study."
    )


def _refuse(error: OSError) -> None:
    with file_errors(Path(error.filename).name):
        raise error
