"""The engine's environments on this computer: which there are, and which one is used.

Each is a folder with a note, which is written last: without it a folder is no environment. Several
lie side by side, one for each state of the locked packages and each PyTorch, and ``current.json``
names the one in use and the one before, so that a switch takes no time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SetupError
from ..jobs.workspace import try_lock
from .json_files import read_values, replace, write_values
from .lock import lock_version
from .paths import import_folder, interpreter, user_data_folder

NOTE = "ready.json"
#: The folder beside that of the environments that keeps what was downloaded.
DOWNLOADS = "downloads"
READY, OUTDATED, BROKEN = "ready", "outdated", "broken"
_CURRENT = "current.json"
_FIXED = ".venv-engine"
# Being made, and set aside to be removed: names that nobody else gives. The letters keep a new one
# apart from a dead one's rest. All is short, as Windows limits paths.
_TEMPORARY = re.compile(r"(.+)\.(new|old)~[0-9a-f]{4}")


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
    return is_made_for(folder, folder) and _has_python(folder)


def is_made_for(folder: Path, place: Path) -> bool:
    """Whether a folder is an environment that was made for this place."""
    return read_note(folder).get("folder") == str(place.absolute())


def python_of(folder: Path) -> str:
    """The version of an environment's Python, e.g. ``3.12``; empty if it does not say."""
    known = _configuration(folder)
    found = re.match(r"\d+\.\d+", known.get("version") or known.get("version_info", ""))
    return found[0] if found else ""


def _has_python(folder: Path) -> bool:
    """Whether an environment has its interpreter, and that the Python below it."""
    home = _configuration(folder).get("home", "")
    return interpreter(folder).exists() and (not home or os.path.isdir(home))


def _configuration(folder: Path) -> dict[str, str]:
    """What ``pyvenv.cfg`` says; empty if it cannot be read."""
    try:
        lines = (folder / "pyvenv.cfg").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    parts = [line.partition("=") for line in lines]
    return {name.strip(): value.strip() for name, _, value in parts}


def is_environment(folder: Path) -> bool:
    """Whether it is the folder of a virtual environment, whole or not, and of whoever made it."""
    return (folder / "pyvenv.cfg").is_file()


def fixed_folder() -> Path | None:
    """``.venv-engine`` beside a running ``.venv``; None where the user's environments are used."""
    return Path(sys.prefix).with_name(_FIXED) if Path(sys.prefix).name == ".venv" else None


def is_of_checkout(folder: Path) -> bool:
    """Whether it is the place of a checkout's own environment."""
    return folder.absolute() in (fixed_folder(), import_folder().with_name(_FIXED))


def may_replace(folder: Path) -> bool:
    """Whether what a folder holds may be removed for an environment: it is ours, not anybody's."""
    folder = folder.absolute()
    # By its place: that of a checkout, moved or not, or that of the user's environments.
    if is_of_checkout(folder) or folder == Environments().root.absolute() / folder.name:
        return True
    # The application's environment of a checkout has such a note too, but of no lock.
    return is_made_for(folder, folder) and "lock" in read_note(folder)


def temporary_folder(folder: Path, kind: str) -> Path:
    """A name in the same place for one that is ``new`` or ``old``."""
    return folder.with_name(f"{folder.name}.{kind}~{secrets.token_hex(2)}")


def set_aside(folder: Path) -> Path:
    """Rename a folder to one that will be removed.

    :raises SetupError: ``environment.in_use``.
    """
    aside = temporary_folder(folder, "old")
    try:
        replace(folder, aside)
    except OSError as error:
        raise SetupError(
            "environment.in_use",
            f"The environment {folder.name} is in use and cannot be replaced ({error.strerror}).",
            "Wait for the end of all runs and close programs that use it, then try again.",
            str(error),
        ) from error
    return aside


def discard(folder: Path) -> None:
    """Remove an environment for good, as far as the system lets us.

    Its note goes first: killed in the middle, this leaves nothing that counts as an environment.
    """
    try:
        (folder / NOTE).unlink(missing_ok=True)
    except OSError:
        return  # whole as it is; the next installation tries again
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let only one process make or remove an environment at a time.

    :raises SetupError: ``environment.busy`` or ``environment.not_writable``.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(folder.with_name(folder.name + ".lock"), "w+b")  # noqa: SIM115
    except OSError as error:
        raise SetupError(
            "environment.not_writable",
            f"The folder for {folder.name} cannot be made ({error.strerror}).",
            "Choose a folder that you may write to.",
            str(error),
        ) from error
    with file:
        if not try_lock(file):
            raise SetupError(
                "environment.busy",
                f"Another process is making {folder.name} right now.",
                "Wait until it has ended, then try again.",
            )
        yield


def put_right(folder: Path) -> None:
    """Put right what a killed installation or removal has left of an environment.

    Without its lock nothing is done: somebody is at work there.
    """
    if not _rests(folder):
        return
    with contextlib.suppress(SetupError, OSError), alone(folder):
        left = _rests(folder)
        whole = [path for path in left if is_made_for(path, folder) and _has_python(path)]
        if whole and not folder.exists():  # it was killed between two renames
            replace(whole[0], folder)
        for path in left:
            discard(path)


def _rests(folder: Path) -> list[Path]:
    """The folders under temporary names of an environment; the old ones come last."""
    return [path for name, path in _temporaries(folder.parent) if name == folder.name]


def _temporaries(root: Path) -> list[tuple[str, Path]]:
    """The folders under temporary names, each with the name of its environment."""
    try:
        paths = sorted(root.iterdir())
    except OSError:
        return []
    found = [(_TEMPORARY.fullmatch(path.name), path) for path in paths]
    return [(match[1], path) for match, path in found if match]


class Environments:
    """The environments in a folder.

    :param root: the folder; that of this user by default.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or user_data_folder() / "engines"

    def folder(self, build: str, development: bool = False) -> Path:
        """Where the environment of the packages that are locked now lies."""
        version = "dev" if development else lock_version()
        return self.root / f"{version}-{build}"

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
        """The one in use; if it is lost, one that is up to date, first the one before."""
        name = self._current_name()
        if name and is_whole(self.root / name):
            return self._read(name)
        previous = self.previous()
        others = ((previous,) if previous else ()) + self.all()
        return next((one for one in others if one.state == READY and not one.development), None)

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

        :raises SetupError: ``environment.unknown``, ``environment.in_use`` or ``environment.busy``.
        """
        folder = self._find(name).folder
        with alone(folder):
            discard(set_aside(folder))
        if not self.all():
            self._remove_downloads()

    def _remove_downloads(self) -> None:
        """Remove them, unless an installation is using them."""
        with contextlib.suppress(SetupError), contextlib.ExitStack() as held:
            for lock in self.root.glob("*.lock"):
                held.enter_context(alone(lock.with_suffix("")))
            shutil.rmtree(self.root.with_name(DOWNLOADS), ignore_errors=True)

    def put_right(self) -> None:
        """Put right what killed installations and removals have left of any environment."""
        for name in {name for name, _ in _temporaries(self.root)}:
            put_right(self.root / name)

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
