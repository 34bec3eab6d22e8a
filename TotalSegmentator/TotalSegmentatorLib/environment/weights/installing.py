"""Putting a model into the weights folder: as a whole, by a renaming, or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...catalog import Model
from ...errors import SetupError
from ..network import check_space
from ..observer import Observer
from .archives import check_archive, opened, unpack
from .records import Origin, remember_checkpoints, write_record
from .store import is_whole, unreadable, work_path

_BLOCK_BYTES = 1 << 20
# Windows renames no folder while a virus scanner reads in it, as it does with new files.
_PAUSES_S = (0.2, 0.5, 1.0, 3.0) if sys.platform == "win32" else ()


def install_archive(
    path: Path, model: Model, folder: Path, observer: Observer, origin: Origin
) -> None:
    """Unpack a model from an archive; whatever else is in it is left there.

    To be called in :func:`.store.alone`, like :func:`install_folder`.

    :param folder: the weights folder.
    :raises SetupError: ``weights.unsafe_archive``, ``weights.damaged_archive``, ``disk.full``.
    :raises CancelledError: if the observer says so.
    """
    with opened(path) as archive:
        members = [m for m in check_archive(archive) if m.orig_filename.startswith(_start(model))]
        size = sum(member.file_size for member in members)
        check_space(folder, size, f"Unpacking the weights {model.folder}")
        told = _progress(observer, f"Unpacking the weights {model.folder}", size)
        with _new_place(model, folder) as place:
            unpack(archive, members, place, told)
            _put_in_place(place / model.folder, model, folder, observer, origin)


def install_folder(source: Path, model: Model, folder: Path, observer: Observer) -> None:
    """Copy a model's folder.

    :raises SetupError: ``weights.unreadable``, ``weights.damaged_archive``, ``disk.full``.
    :raises CancelledError: if the observer says so.
    """
    with unreadable(model):
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        size = sum(path.stat().st_size for path in files)
    check_space(folder, size, f"Copying the weights {model.folder}")
    told = _progress(observer, f"Copying the weights {model.folder}", size)
    with _new_place(model, folder) as place:
        for path in files:
            target = place / model.folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(path, target, model, told)
        origin = Origin(source.name, "", "import", False)
        _put_in_place(place / model.folder, model, folder, observer, origin)


def _start(model: Model) -> str:
    return f"{model.folder}/"


def _progress(observer: Observer, text: str, size: int) -> Callable[[int], None]:
    """Tells how far it is at every call with a number of bytes, and stops if it shall."""
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        observer.check()
        done += count
        observer.on_step(done / max(size, 1), text)

    return on_bytes


@contextmanager
def _new_place(model: Model, folder: Path) -> Iterator[Path]:
    """An empty folder on the same disk, which is gone at the end."""
    place = work_path(folder, model, ".new")
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copy(path: Path, target: Path, model: Model, on_bytes: Callable[[int], None]) -> None:
    with open(target, "xb") as file:
        for block in _blocks(path, model):
            file.write(block)
            on_bytes(len(block))
        file.flush()
        os.fsync(file.fileno())


def _blocks(path: Path, model: Model) -> Iterator[bytes]:
    with unreadable(model), open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _put_in_place(
    new: Path, model: Model, folder: Path, observer: Observer, origin: Origin
) -> None:
    """Check a model, note where it comes from, and rename it; what was there goes only then."""
    if not is_whole(model, new):
        raise SetupError(
            "weights.damaged_archive",
            f"{origin.archive} does not hold the whole model {model.folder}.",
            "Get it again.",
        )
    record = write_record(origin, new, observer.check)
    place, old = folder / model.folder, work_path(folder, model, ".old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        _rename(place, old)
    try:
        _rename(new, place)
    except OSError:
        if old.exists():
            _rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if record.verified:
        remember_checkpoints(record.checkpoints.values())


def _rename(source: Path, target: Path) -> None:
    for pause in _PAUSES_S:
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(pause)
    os.replace(source, target)
