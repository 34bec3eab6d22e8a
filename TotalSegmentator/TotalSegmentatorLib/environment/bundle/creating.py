"""Making a bundle: everything is gathered beside it first, and packed when it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from zipfile import ZipFile

from ... import __version__
from ...catalog import Model, archive
from ...errors import CancelledError, InputError
from ...images import check_output, whole_file
from ...jobs.workspace import workspace
from ..lock import lock_version
from ..network import check_space
from ..observer import Observer
from ..terms import open_terms
from ..weights import (
    Way,
    download_archive,
    download_bytes,
    missing_models,
    obtain,
    tasks_of,
)
from ..weights.store import unreadable
from .contents import PYTHON, WEIGHTS, WHEELS, Contents, files_below, listed, put, read, write
from .packages import Packages, fetch_packages, fetch_python

# What is gathered, and the bundle itself.
_SPACE = 2.1
# Of the time that all takes: gathering, checksums, and packing the rest.
_GATHERED, _LISTED = 0.7, 0.85
# Of the time that an engine takes.
_PYTHON = 0.04
# Of the time that a checkpoint takes, which is downloaded and then packed.
_DOWNLOADED = 0.9


def create(
    path: Path,
    packages: Packages | None,
    models: Sequence[Model],
    weights: Path,
    observer: Observer | None = None,
    overwrite: bool = False,
) -> Contents:
    """Make a bundle: whole, or not at all.

    :param path: the file.
    :param packages: the engine; None for weights alone.
    :param models: whose weights go in, if a bundle may hold them. Those that are on this computer
        are packed from here, the others are downloaded.
    :param weights: the weights folder of this computer.
    :param overwrite: whether an existing file may be replaced.
    :raises InputError: ``input.empty_bundle``, ``output.*``.
    :raises SetupError: ``bundle.no_package``, ``bundle.wrong_computer``, ``disk.full``,
        ``network.*``, ``environment.*``, ``weights.*``.
    :raises CancelledError: if the observer says so.
    """
    observer, path = observer or Observer(), path.absolute()
    check_output(path, overwrite)
    public = [model for model in dict.fromkeys(models) if may_hold(model)]
    if not packages and not public:
        raise InputError(
            "input.empty_bundle",
            "There is nothing to put into a bundle: weights that need a licence number, or whose "
            "terms were not accepted, are left out.",
            "Let it hold the engine, or weights of other tasks.",
        )
    try:
        # Beside the bundle there will be space; what a killed one has left there is removed.
        with whole_file(path) as part, workspace(path.parent) as work:
            files = work / "files"
            size = _size(packages, public)
            check_space(path.parent, round(_SPACE * size), f"Making {path.name}")
            _gather(packages, public, weights, files, observer.part(0, _GATHERED))
            said = _contents(packages, files, observer.part(_GATHERED, _LISTED))
            told = observer.part(_LISTED, 1).counting(f"Packing {path.name}", said.size_bytes)
            write(part, said, files, told)
            return read(part)
    except CancelledError:
        raise CancelledError(message="The bundle was not made, as this was cancelled.") from None


def may_hold(model: Model) -> bool:
    """Whether a bundle may hold the weights of a model: they need no licence number, and terms that
    must be accepted are."""
    return archive(model) is not None and not open_terms(tasks_of(model))


def _size(packages: Packages | None, models: Sequence[Model]) -> int:
    """About how many bytes will be in it."""
    return (packages.download_mb * 1_000_000 if packages else 0) + download_bytes(models)


def _gather(
    packages: Packages | None,
    models: Sequence[Model],
    weights: Path,
    files: Path,
    observer: Observer,
) -> None:
    """Put everything into a folder as it will be in the bundle."""
    total, done = _size(packages, models), _size(packages, ())
    if packages:
        part = observer.part(0, done / total)
        if packages.with_python:
            fetch_python(packages, files / PYTHON, part.part(0, _PYTHON))
        fetch_packages(packages, files / WHEELS, files.parent, part.part(_PYTHON, 1))
    for model in models:
        before, done = done, done + download_bytes([model])
        part = observer.part(before / total, done / total)
        target = files / WEIGHTS / f"{model.folder}.zip"
        _get_weights(model, weights, target, files.parent, part)


def _get_weights(model: Model, weights: Path, target: Path, work: Path, observer: Observer) -> None:
    """The archive as it is published, or made from the model's folder, which is got first if only
    its checkpoint is published.

    :param work: a folder for temporary files.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if missing_models([model], weights):
        if not model.checkpoint:
            download_archive(model, target, observer, Way())
            return
        weights = work / WEIGHTS
        obtain([model], weights, observer.part(0, _DOWNLOADED))
        observer = observer.part(_DOWNLOADED, 1)
    with unreadable(model):
        paths = files_below(weights / model.folder)
        size = sum(path.stat().st_size for path in paths)
    told = observer.counting(f"Packing the weights {model.folder}", size)
    with ZipFile(target, "w") as packed:
        for path in paths:
            put(packed, path.relative_to(weights).as_posix(), path, told)


def _contents(packages: Packages | None, files: Path, observer: Observer) -> Contents:
    size = sum(path.stat().st_size for path in files_below(files))
    members = listed(files, observer.counting("Computing checksums", size))
    said = Contents(__version__, date.today().isoformat(), members)
    if not packages:
        return said
    target = packages.target
    return replace(
        said,
        lock=lock_version(),
        system=target.system,
        python=target.python,
        torch_build=packages.build.id,
    )
