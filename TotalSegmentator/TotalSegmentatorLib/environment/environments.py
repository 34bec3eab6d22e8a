"""The engine's environments on this computer: which there are, and which one is used.

Each is a folder with a note, which is written last: without it a folder is no environment. Several
lie side by side, one for each state of the locked packages and each PyTorch, and ``current.json``
names the one in use and the one before, so that a switch takes no time.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SetupError
from .json_files import read_values, write_values
from .lock import lock_version
from .paths import interpreter, user_data_folder

NOTE = "ready.json"
#: The folder beside that of the environments that keeps what was downloaded.
DOWNLOADS = "downloads"
READY, OUTDATED, BROKEN = "ready", "outdated", "broken"
_FAMILY = "totalsegmentator"
_CURRENT = "current.json"
# Being made, and set aside to be removed; the letters keep a new one apart from a dead one's rest.
_TEMPORARY = re.compile(r".+\.(new|old)-[0-9a-f]{6}")


@dataclass(frozen=True)
class Environment:
    """An environment of the engine.

    :param name: of its folder.
    :param versions: of Python and the most important packages, as they were when it was tried.
    :param build: id of the PyTorch build, see :mod:`.torch_builds`; empty if unknown.
    :param made: when, as ``2026-11-21 17:05``.
    :param development: whether it holds the official package's development version.
    :param state: ``ready``; ``outdated`` if this version of the extension wants other packages;
        ``broken`` if it is not whole, or not where it was made.
    """

    name: str
    folder: Path
    versions: Mapping[str, str]
    build: str
    made: str
    development: bool
    state: str


def read_note(folder: Path) -> dict[str, Any]:
    """What was noted when an environment was made; empty if it is not whole."""
    return read_values(folder / NOTE)


def is_whole(folder: Path) -> bool:
    """Whether an environment is there, whole and where it was made; no process is started."""
    return is_made_for(folder, folder) and interpreter(folder).exists()


def is_made_for(folder: Path, place: Path) -> bool:
    """Whether a folder is an environment that was made for this place."""
    return read_note(folder).get("folder") == str(place.absolute())


def python_of(folder: Path) -> str:
    """The version of an environment's Python, e.g. ``3.12``; empty if it does not say."""
    text = (folder / "pyvenv.cfg").read_text("utf-8")
    found = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", text, re.MULTILINE)
    return found[1] if found else ""


def is_environment(folder: Path) -> bool:
    """Whether it is the folder of a virtual environment, whole or not."""
    return (folder / "pyvenv.cfg").is_file()


def temporary_folder(folder: Path, kind: str) -> Path:
    """A name in the same place for one that is ``new`` or ``old``."""
    return folder.with_name(f"{folder.name}.{kind}-{secrets.token_hex(3)}")


def temporary_folders(folder: Path) -> list[Path]:
    """What crashed installations have left of this environment."""
    found = folder.parent.glob(f"{folder.name}.*")
    return [path for path in found if _TEMPORARY.fullmatch(path.name)]


def set_aside(folder: Path) -> Path:
    """Rename a folder to one that will be removed.

    :raises SetupError: ``environment.in_use``.
    """
    aside = temporary_folder(folder, "old")
    try:
        os.replace(folder, aside)
    except OSError as error:
        raise SetupError(
            "environment.in_use",
            f"The environment {folder.name} is in use and cannot be replaced ({error.strerror}).",
            "Wait for the end of all runs and close programs that use it, then try again.",
            str(error),
        ) from error
    return aside


class Environments:
    """The environments in a folder.

    :param root: the folder; that of this user by default.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or user_data_folder() / "environments"

    def folder(self, build: str, development: bool = False) -> Path:
        """Where the environment of the packages that are locked now lies."""
        version = "development" if development else lock_version()
        return self.root / f"{_FAMILY}-{version}-{build}"

    def all(self) -> tuple[Environment, ...]:
        """All of them, the one in use first, then by name."""
        try:
            names = sorted(path.name for path in self.root.iterdir() if is_environment(path))
        except OSError:
            return ()
        current = self._current_name()
        names.sort(key=lambda name: name != current)
        return tuple(self._read(name) for name in names if not _TEMPORARY.fullmatch(name))

    def current(self) -> Environment | None:
        """The one in use; if the note of it is lost, one that is up to date."""
        name = self._current_name()
        if name and is_whole(self.root / name):
            return self._read(name)
        return next((one for one in self.all() if one.state == READY), None)

    def previous(self) -> Environment | None:
        """The one that was in use before, if it is still there."""
        name = _name(self._pointer().get("previous"))
        return self._read(name) if name and is_whole(self.root / name) else None

    def use(self, name: str) -> Environment:
        """Use this one from now on.

        It counts as up to date then, until another version of the extension wants other packages.

        :raises SetupError: ``environment.unknown`` or ``environment.broken``.
        """
        found = self._find(name)
        if found.state == BROKEN:
            raise SetupError(
                "environment.broken",
                f"The environment {name} is not whole.",
                "Remove it and run the setup again.",
            )
        before = self.current()
        previous = _name(self._pointer().get("previous"))
        if before and before.name != name:
            previous = before.name
        values = {"current": name, "previous": previous, "lock": lock_version()}
        write_values(self.root / _CURRENT, values)
        return self._read(name)

    def rollback(self) -> Environment:
        """Use the one before; a second time goes back again.

        :raises SetupError: ``environment.no_previous``.
        """
        previous = self.previous()
        if previous is None:
            raise SetupError(
                "environment.no_previous",
                "There is no earlier environment to go back to.",
                "Run the setup again instead.",
            )
        return self.use(previous.name)

    def remove(self, name: str) -> None:
        """Remove one for good; the last one takes the downloads with it, which share its files.

        :raises SetupError: ``environment.unknown`` or ``environment.in_use``.
        """
        shutil.rmtree(set_aside(self._find(name).folder), ignore_errors=True)
        if not self.all():
            shutil.rmtree(self.root.with_name(DOWNLOADS), ignore_errors=True)

    def size_bytes(self, name: str) -> int:
        """What one takes on the disk, files that it shares with the download cache included.

        :raises SetupError: ``environment.unknown``.
        """
        return folder_size(self._find(name).folder)

    def information(self, name: str) -> str:
        """What people paste into a forum's post: versions, source, place and size.

        :raises SetupError: ``environment.unknown``.
        """
        found = self._find(name)
        note = read_note(found.folder)
        place = str(found.folder).replace(str(Path.home()), "~", 1)
        lines = {
            "Environment": f"{found.name} ({found.state})",
            "Packages": ", ".join(f"{key} {value}" for key, value in found.versions.items()),
            "Source": note.get("source", "unknown"),
            "Installed": f"{found.made or 'unknown'} by {note.get('installer', 'unknown')}",
            "Folder": place,
            "Size": f"{self.size_bytes(name) / 1e9:.1f} GB",
            "System": platform.platform(),
        }
        return "\n".join(f"{key}: {value}" for key, value in lines.items())

    def _find(self, name: str) -> Environment:
        found = next((one for one in self.all() if one.name == name), None)
        if found is None:
            raise SetupError(
                "environment.unknown",
                f"There is no environment {name}.",
                f"There are: {', '.join(one.name for one in self.all()) or 'none'}.",
            )
        return found

    def _read(self, name: str) -> Environment:
        folder = self.root / name
        return read_environment(folder, accepted=self._accepted_name() == name)

    def _pointer(self) -> dict[str, Any]:
        return read_values(self.root / _CURRENT)

    def _current_name(self) -> str:
        return _name(self._pointer().get("current"))

    def _accepted_name(self) -> str:
        """The one that was chosen for the packages that are locked now, whatever it holds."""
        chosen = self._pointer().get("lock") == lock_version()
        return self._current_name() if chosen else ""


def read_environment(folder: Path, accepted: bool = False) -> Environment:
    """The environment in a folder.

    :param accepted: whether other packages than those that are locked now are good enough.
    """
    whole = is_whole(folder)
    note = read_note(folder) if whole else {}
    current = accepted or note.get("lock") == lock_version()
    return Environment(
        name=folder.name,
        folder=folder,
        versions=note.get("versions", {}),
        build=note.get("build", ""),
        made=note.get("made", ""),
        development=bool(note.get("development")),
        state=BROKEN if not whole else READY if current else OUTDATED,
    )


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except OSError:  # removed at this moment
                continue
    return total


def _name(value: object) -> str:
    """A folder's name from a file that anybody may have changed; no path."""
    text = value if isinstance(value, str) else ""
    return text if text and text == Path(text).name else ""
