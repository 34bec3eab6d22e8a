"""Other modules of the same name: Slicer loads one of them, and nobody knows which."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

# Every scripted module of Slicer derives from a class of this name. The Python package of the
# same name brings a file with the module's name too, which is none.
_MARK = b"ScriptedLoadableModule"


def other_modules(own_file: Path, folders: Iterable[str | Path]) -> tuple[Path, ...]:
    """Other files that Slicer could load as a module of the same name.

    The former TotalSegmentator extension is one, if it was not removed; a copy of this extension is
    another.

    :param own_file: the module file of this extension; its name is what is looked for, in the same
        spelling also on disks that do not tell capitals from small letters.
    :param folders: where the application looks for modules; those that are not there, or are
        no folders, are left out.
    :return: absolute paths, links resolved, each once, in the order of the folders.
    """
    own = own_file.resolve()
    found = (_module(folder, own_file.name) for folder in folders)
    return tuple(dict.fromkeys(path for path in found if path is not None and path != own))


def _module(folder: str | Path, name: str) -> Path | None:
    """The file of this name in a folder, if it is a module."""
    path = Path(folder) / name
    try:
        if name in os.listdir(folder) and path.is_file() and _MARK in path.read_bytes():
            return path.resolve()
    except OSError:  # not there, not a folder, not ours to read: Slicer loads nothing from it
        pass
    return None
