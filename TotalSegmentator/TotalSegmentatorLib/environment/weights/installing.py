"""Putting a model into the weights folder: as a whole, by a renaming, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

from ...catalog import Model
from ...errors import SetupError
from ..json_files import replace
from ..network import check_space
from ..observer import Observer
from .archives import check_archive, put, unpack
from .records import Origin, counts, remember_files, write_record
from .store import is_whole, unreadable, work_path

_BLOCK_BYTES = 1 << 20


def install_archive(
    archive: ZipFile,
    model: Model,
    folder: Path,
    observer: Observer,
    origin: Origin,
    published: bool,
) -> None:
    """Unpack a model from an archive; whatever else is in it is left there.

    To be called in :func:`.store.alone`, like the other ways to install.

    :param folder: the weights folder.
    :param published: whether the archive is the published one.
    :raises SetupError: ``weights.unsafe_archive``, ``weights.damaged_archive``, ``disk.full``.
    :raises CancelledError: if the observer says so.
    """
    top = f"{model.folder}/"
    members = [m for m in check_archive(archive) if m.orig_filename.startswith(top)]
    size = sum(member.file_size for member in members)
    check_space(folder, size, f"Unpacking the weights {model.folder}")
    told = _progress(observer, f"Unpacking the weights {model.folder}", size)
    with _new_place(model, folder) as new:
        found = unpack(archive, members, new, told, top)
        files = {name: digest for name, digest in found.items() if counts(name)}
        _put_in_place(new, files, model, folder, origin)
    if published:
        remember_files(model.folder, files)


def install_folder(source: Path, model: Model, folder: Path, observer: Observer) -> None:
    """Copy a model's folder.

    :raises SetupError: ``weights.unreadable``, ``weights.damaged_archive``, ``disk.full``.
    :raises CancelledError: if the observer says so.
    """
    with unreadable(model):
        paths = {p.relative_to(source).as_posix(): p for p in source.rglob("*") if p.is_file()}
        paths = {name: path for name, path in sorted(paths.items()) if counts(name)}
        size = sum(path.stat().st_size for path in paths.values())
    check_space(folder, size, f"Copying the weights {model.folder}")
    told = _progress(observer, f"Copying the weights {model.folder}", size)
    with _new_place(model, folder) as new:
        files = {name: put(_blocks(path, model), new / name, told) for name, path in paths.items()}
        _put_in_place(new, files, model, folder, Origin(source.name, "", "import"))


def install_checkpoint(
    source: Path, model: Model, folder: Path, observer: Observer, origin: Origin, published: bool
) -> None:
    """Copy the file that is all of a model.

    :param published: whether the file whose checksum is the origin's is the published one.
    :raises SetupError: ``weights.unreadable``, ``weights.damaged_archive``, ``disk.full``.
    :raises CancelledError: if the observer says so.
    """
    with unreadable(model):
        size = source.stat().st_size
    check_space(folder, size, f"Copying the weights {model.folder}")
    told = _progress(observer, f"Copying the weights {model.folder}", size)
    with _new_place(model, folder) as new:
        digest = put(_blocks(source, model), new / model.checkpoint, told)
        files = {model.checkpoint: digest}
        _put_in_place(new, files, model, folder, origin)
    if published and digest == origin.sha256:  # nobody has changed it meanwhile
        remember_files(model.folder, files)


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


def _blocks(path: Path, model: Model) -> Iterator[bytes]:
    with unreadable(model), open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _put_in_place(
    new: Path, files: Mapping[str, str], model: Model, folder: Path, origin: Origin
) -> None:
    """Check a model, note where it comes from, and rename it; what was there goes only then.

    :param files: checksums of what was to be written.
    """
    if not is_whole(model, new):
        raise SetupError(
            "weights.damaged_archive",
            f"{origin.archive} does not hold the whole model {model.folder}.",
            "Get it again.",
        )
    write_record(origin, files, new)
    place, old = folder / model.folder, work_path(folder, model, ".old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        replace(place, old)
    try:
        replace(new, place)
    except OSError:
        if old.exists():
            replace(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)
