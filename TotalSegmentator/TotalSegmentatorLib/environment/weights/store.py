"""Which trained models are on this computer, and in which state."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ... import catalog, remedies
from ...catalog import TYPICAL_BYTES, Archive, Model, Task, archive
from ...errors import SetupError
from ...jobs.workspace import try_lock
from ..findings import ERROR, OK, WARNING, Finding
from ..json_files import replace
from ..network import FULL_DISK, is_online
from ..observer import Observer
from ..paths import official_folder
from ..settings import load_settings
from .records import (
    are_published,
    file_sums,
    known_file,
    note_damage,
    read_record,
    remember_archive,
)

PRESENT, MISSING, DAMAGED = "present", "missing", "damaged"
_POLL_S = 0.2
_CHECKPOINT = "checkpoint_final.pth"
_ZIP_START, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
# How a checkpoint begins: as a zip file, or as a plain pickle, which older PyTorch wrote.
_STARTS = (_ZIP_START, b"\x80")
# What is read when models are listed: their descriptions.
_SMALL_BYTES = 1_000_000
# Below the weights folder and the user's own: what is on its way in or out, and locks.
_WORK = ".downloads"


@dataclass(frozen=True)
class WeightsEntry:
    """A model of the catalogue, and what of it is on this computer.

    :param tasks: ids of the tasks whose result it gives.
    :param archive: what it is downloaded from; None for weights that need a licence number.
    :param licensed: whether a licence number is needed to download it.
    :param state: ``present``, ``missing`` or ``damaged``.
    :param size_bytes: what is on the disk, or would be downloaded; 0: nobody knows.
    :param verified: whether it is the published one, by what is noted of its checkpoints;
        :func:`verify` reads these, too.
    """

    model: Model
    tasks: tuple[str, ...]
    archive: Archive | None
    licensed: bool
    state: str
    size_bytes: int
    verified: bool

    @property
    def terms(self) -> str:
        """Id of the terms under which it is used; empty if it has none of its own."""
        return catalog.task(self.tasks[0]).terms


def weights_folder(variables: Mapping[str, str] | None = None) -> Path:
    """Where weights are: as the environment says, else as the user has set, else where the official
    package keeps them.

    :param variables: environment variables of the engine; None: those of this process.
    """
    variables = os.environ if variables is None else variables
    chosen = variables.get("TOTALSEG_WEIGHTS_PATH") or load_settings().weights_folder
    return Path(chosen) if chosen else official_folder(variables) / "nnunet" / "results"


def entries(folder: Path) -> tuple[WeightsEntry, ...]:
    """All models that can be had, in the order of the catalogue; one that may not be read counts as
    damaged."""
    return tuple(_entry(model, folder) for model in known_models().values())


def known_models() -> dict[str, Model]:
    """All models that can be had, by the names of their folders, in the order of the catalogue."""
    return {
        model.folder: model
        for task in catalog.tasks()
        for models in task.speeds.values()
        for model in models
        if task.licensed or archive(model)
    }


def tasks_of(model: Model) -> tuple[Task, ...]:
    """The tasks whose result a model gives, in the order of the catalogue."""
    return tuple(t for t in catalog.tasks() if any(model in ms for ms in t.speeds.values()))


def _entry(model: Model, folder: Path) -> WeightsEntry:
    published, verified = archive(model), False
    size = published.size_bytes if published else 0
    try:
        state = state_of(model, folder)
        if state == PRESENT:
            with unreadable(model):
                size = size_of(folder / model.folder)
                verified = _seems_published(model, folder / model.folder)
    except SetupError:
        state = DAMAGED
    return WeightsEntry(
        model,
        tuple(task.id for task in tasks_of(model)),
        published,
        published is None,
        state,
        size,
        verified,
    )


def size_of(place: Path) -> int:
    """How many bytes the files in a folder take; 0 if it is not there."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _seems_published(model: Model, place: Path) -> bool:
    """As far as can be known without reading checkpoints."""
    record = read_record(place)
    if record is None:
        return False
    return are_published(model.folder, {**record.files, **file_sums(place, largest=_SMALL_BYTES)})


def state_of(model: Model, folder: Path) -> str:
    """``present``, ``missing`` or ``damaged``.

    The official package takes a folder left by an interrupted download for a model. Here the
    description and the checkpoints must be there, and a checkpoint must have the end that its zip
    format writes last; and :func:`verify` must not have found anything.

    :raises SetupError: ``weights.unreadable``.
    """
    place = folder / model.folder
    with unreadable(model):
        if not place.exists():
            return MISSING
        record = read_record(place)
        whole = is_whole(model, place) and not (record and record.damaged)
        return PRESENT if whole else DAMAGED


def is_whole(model: Model, place: Path) -> bool:
    """Whether all of a model is there.

    :param place: its folder.
    :raises OSError: if a file cannot be read.
    """
    if model.checkpoint:
        return _is_checkpoint(place / model.checkpoint)
    network = place / model.subfolder
    folds = [f"fold_{fold}" for fold in model.folds] or ["fold_*"]
    checkpoints = [path for fold in folds for path in network.glob(f"{fold}/{_CHECKPOINT}")]
    return (
        all((network / name).is_file() for name in ("plans.json", "dataset.json"))
        and len(checkpoints) >= len(folds)
        and all(map(_has_end, checkpoints))
    )


def _is_checkpoint(path: Path) -> bool:
    """Whether a file is a whole checkpoint, and not a page that came instead of it."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        begins = file.read(4).startswith(_STARTS)
    return begins and _has_end(path)


def _has_end(checkpoint: Path) -> bool:
    with open(checkpoint, "rb") as file:
        start = file.read(4)
        file.seek(max(0, checkpoint.stat().st_size - 65_557))  # the longest end record of a zip
        end = file.read()
    # Checkpoints of older nnU-Nets are plain pickles, whose end says nothing.
    return bool(start) and (start != _ZIP_START or _ZIP_END in end)


def missing_models(models: Sequence[Model], folder: Path) -> tuple[Model, ...]:
    """Those of the models that must still be got: they are missing, or damaged.

    :raises SetupError: ``weights.unreadable``.
    """
    return tuple(model for model in models if state_of(model, folder) != PRESENT)


def download_bytes(models: Sequence[Model]) -> int:
    """The size of the models' archives together.

    Weights that need a licence have no public archive; they count as much as a typical one.
    """
    found = [archive(model) for model in dict.fromkeys(models)]
    return sum(one.size_bytes if one else TYPICAL_BYTES for one in found)


def download_mb(models: Sequence[Model]) -> int:
    """:func:`download_bytes` in millions of bytes, for people."""
    return round(download_bytes(models) / 1e6)


def check_weights(models: Sequence[Model], folder: Path, may_download: bool) -> tuple[Model, ...]:
    """Fail early if a run would stop for lack of weights.

    :param may_download: whether the user agreed to a download.
    :returns: what must be got before the run.
    :raises SetupError: ``weights.missing`` without consent, ``weights.offline`` without internet,
        ``weights.unreadable`` if the folder cannot be used.
    """
    missing = missing_models(tuple(dict.fromkeys(models)), folder)
    if not missing:
        return ()
    names = ", ".join(model.folder for model in missing)
    what = "of this task" if len(missing) == 1 else "of what was asked for"
    if not may_download:
        raise SetupError(
            "weights.missing",
            f"The weights {what} are not on this computer ({names}).",
            "Allow the download, or put the folders into the weights folder yourself.",
        )
    archives = [archive(model) for model in missing]
    purposes = {one.purpose if one else "licensed_weights" for one in archives}
    if load_settings().weights_mirror:
        purposes.discard("weights")
    if not all(map(is_online, purposes)):
        raise SetupError(
            "weights.offline",
            f"The weights {what} are missing ({names}), and the internet is out of reach.",
            "Connect to the internet, set the proxy, or copy the folders into the weights folder.",
        )
    return missing


def verify(
    folder: Path, models: Sequence[Model], observer: Observer | None = None
) -> tuple[Finding, ...]:
    """Compare every file with what was noted when its model was got. What is damaged is noted, so
    that it is got again.

    :param models: those that are missing are left out.
    :raises CancelledError: if the observer says so.
    """
    observer = observer or Observer()
    there = [model for model in models if (folder / model.folder).exists()]
    findings = []
    for number, model in enumerate(there):
        observer.on_step(number / len(there), f"Checking the weights {model.folder}")
        try:
            with unreadable(model):
                findings.append(_verified(model, folder, observer))
        except SetupError as error:
            check = f"weights.{model.folder}"
            findings.append(Finding(check, ERROR, error.message, error.remedy))
    return tuple(findings)


def _verified(model: Model, folder: Path, observer: Observer) -> Finding:
    place, check = folder / model.folder, f"weights.{model.folder}"
    record, files = read_record(place), dict[str, str]()
    damaged = not is_whole(model, place)
    if not damaged:
        files = file_sums(place, observer.check)
        damaged = bool(record and not record.files.items() <= files.items())
    if record:
        note_damage(record, place, damaged)
    if damaged:
        text, remedy = f"The weights {model.folder} are damaged.", "Download or import them again."
        return Finding(check, ERROR, text, remedy, remedies.DOWNLOAD_WEIGHTS)
    if are_published(model.folder, files):
        text = f"The weights {model.folder} are whole, and the published ones."
        return Finding(check, OK, text)
    text = f"The weights {model.folder} are there; whether they are the published ones is unknown."
    remedy = "They can be used. To be sure, remove them and download them here."
    return Finding(check, WARNING, text, remedy)


def remove(models: Sequence[Model], folder: Path, observer: Observer | None = None) -> int:
    """Delete models from this computer, and what was left of a download; and forget which archive
    came first, so that another one may.

    :returns: how many bytes became free.
    :raises SetupError: ``weights.not_writable``; the model is still there or gone, never in parts.
    :raises CancelledError: if the observer says so.
    """
    observer, freed = observer or Observer(), 0
    for model in models:
        place = folder / model.folder
        rests = _rests(model, folder)
        if not any(path.exists() for path in (place, *rests)):
            continue
        with alone(own_folder(folder), model, observer), alone(folder, model, observer):
            freed += clean(model, folder)
            if place.exists():
                replace(place, work_path(folder, model, ".removed"))
            freed += clean(model, folder)
        if published := archive(model):
            remember_archive(published.key, "")
    return freed


def clean(model: Model, folder: Path) -> int:
    """Delete what was left on the way in or out; returns how many bytes became free.

    To be called in :func:`alone`, for both folders.
    """
    freed = 0
    for path in _rests(model, folder):
        freed += size_of(path)
        shutil.rmtree(path, ignore_errors=True)
    return freed


def _rests(model: Model, folder: Path) -> list[Path]:
    return [
        *(work_path(folder, model, end) for end in (".new", ".old", ".removed")),
        *(archive_path(model, folder, mirror).parent for mirror in (False, True)),
    ]


def archive_path(model: Model, folder: Path, mirror: bool) -> Path:
    """Where the archive of a model, or its checkpoint, is downloaded to, in a folder of its own.

    It is the user's: from the weights folder others could take it away after it was checked.

    :param mirror: whether it comes from a mirror; then it is not taken for the published one.
    """
    end = ".mirror" if mirror else ".published"
    name = model.checkpoint or f"{model.folder}.zip"
    return work_path(own_folder(folder), model, end) / name


def own_folder(folder: Path) -> Path:
    """The user's own folder; one in the weights folder if there is no home."""
    known = known_file()
    return known.parent if known else folder / _WORK


def work_path(folder: Path, model: Model, end: str) -> Path:
    """A path for what is on its way in or out, on the disk of a folder. It is no longer than those
    of the models themselves, as it may not have many characters on Windows."""
    return folder / _WORK / f"{model.key}{end}"


@contextmanager
def alone(folder: Path, model: Model, observer: Observer) -> Iterator[None]:
    """Let only one process change a model at a time; another one waits.

    :param folder: the weights folder, or the user's own; of both, the user's comes first.
    :raises SetupError: ``weights.not_writable``, also for what the block is refused.
    :raises CancelledError: if the observer says so.
    """
    try:
        with _lock_file(folder, model) as file:
            if not try_lock(file):
                observer.on_step(0.0, f"Waiting for another program that gets {model.folder}")
                while not try_lock(file):
                    observer.check()
                    time.sleep(_POLL_S)
            yield
    except OSError as error:
        raise _not_writable(model, folder, error) from error


def _lock_file(folder: Path, model: Model) -> IO[bytes]:
    """Whoever may add models to the folder may open it."""
    path = work_path(folder, model, ".lock")
    folder.mkdir(parents=True, exist_ok=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    with suppress(FileExistsError):
        path.parent.mkdir()
        path.parent.chmod(mode)
    with suppress(FileExistsError):
        path.touch(exist_ok=False)
        path.chmod(mode & 0o666)
    return path.open("w+b")


def _not_writable(model: Model, folder: Path, error: OSError) -> SetupError:
    if error.errno in FULL_DISK:
        return SetupError(
            "disk.full",
            f"The disk became full while the weights {model.folder} were unpacked.",
            "Free some space or use another folder for weights, then try again.",
            str(error),
        )
    return SetupError(
        "weights.not_writable",
        f"The weights {model.folder} cannot be added or removed, as the weights folder "
        f"{folder.name} cannot be written to ({error.strerror or error}).",
        "Ask whoever keeps the folder to add them, or use another weights folder.",
        str(error),
    )


@contextmanager
def unreadable(model: Model) -> Iterator[None]:
    """What goes wrong in the block is that the files of a model cannot be read.

    :raises SetupError: ``weights.unreadable``.
    """
    try:
        yield
    except OSError as error:
        raise SetupError(
            "weights.unreadable",
            f"The weights in the folder {model.folder} cannot be read ({error.strerror or error}).",
            "Check that you may read the folder, then try again.",
            str(error),
        ) from error
