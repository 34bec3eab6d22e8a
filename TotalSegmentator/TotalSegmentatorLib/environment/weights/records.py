"""What is noted of weights.

Beside a model, for everybody who uses the folder: where it came from and the checksums of its
files, by which damage is found. With the user's data, where nobody else can change it: which
archives and which files are the published ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...engines.known_weights import MODELS
from ...errors import SetupError
from ...jobs.checksums import sha256_of
from ...jobs.workspace import try_lock
from ..json_files import read_values, write_values
from ..paths import user_data_folder

_RECORD = "weights.json"
_ARCHIVES = "archives"
_POLL_S = 0.02


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    :param archive: name of the archive, or of the folder.
    :param sha256: checksum of the archive; empty for a folder.
    :param source: the host; ``import`` for files of the user's.
    """

    archive: str
    sha256: str
    source: str


@dataclass(frozen=True)
class Record(Origin):
    """What is noted in a model's folder, by whoever can write there.

    :param obtained: when, UTC.
    :param files: checksum of each file, by its path below the folder.
    :param damaged: whether the files were found to be others since.
    """

    obtained: str
    files: Mapping[str, str]
    damaged: bool = False


def write_record(origin: Origin, files: Mapping[str, str], place: Path) -> None:
    """Note where a model comes from, in its folder, which nobody uses yet.

    :param files: checksums, as of :class:`Record`.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    _write(Record(**asdict(origin), obtained=now, files=files), place)


def note_damage(record: Record, place: Path, damaged: bool) -> None:
    """Note in a model's folder whether its files are those that were noted, if it can be."""
    if record.damaged != damaged:
        with suppress(OSError):
            _write(replace(record, damaged=damaged), place)


def _write(record: Record, place: Path) -> None:
    (place / _RECORD).write_text(json.dumps(asdict(record), indent=1), "utf-8")


def read_record(place: Path) -> Record | None:
    """What is noted in a model's folder; None if nothing is, as of weights that others got."""
    try:
        record = Record(**read_values(place / _RECORD))
    except TypeError:
        return None
    return record if isinstance(record.files, dict) else None


def counts(path: str) -> bool:
    """Whether a file of a model is noted: not what systems put into every folder.

    :param path: below the model's folder.
    """
    return path != _RECORD and not path.rpartition("/")[2].startswith(".")


def file_sums(
    place: Path, on_block: Callable[[], None] = lambda: None, largest: int | None = None
) -> dict[str, str]:
    """The checksums of the files in a model's folder, by their paths below it.

    :param on_block: called again and again; may raise.
    :param largest: leave out files with more bytes.
    """
    paths = {path.relative_to(place).as_posix(): path for path in place.rglob("*")}
    return {
        name: sha256_of(path, on_block)
        for name, path in sorted(paths.items())
        if counts(name) and path.is_file() and (not largest or path.stat().st_size <= largest)
    }


def known_file() -> Path | None:
    """The file that says which archives and files are the published ones; None if the user has no
    folder for such files."""
    try:
        return user_data_folder() / "weights-hashes.json"
    except RuntimeError:  # there is no home folder
        return None


def known_archive(key: str) -> str:
    """The checksum of an archive as it was when a model first came from it; empty if none did.

    :param key: see :attr:`~.catalog.Archive.key`.
    """
    return str(_known(_ARCHIVES).get(key, ""))


def remember_archive(key: str, sha256: str) -> None:
    """Note the checksum of an archive that came from where it is published; empty: forget it."""
    _remember(_ARCHIVES, key, sha256)


def are_published(model: str, files: Mapping[str, str]) -> bool:
    """Whether files are those that the published archive of a model held.

    :param model: name of its folder.
    :param files: checksums, as of :class:`Record`.
    """
    return bool(files) and _known(MODELS).get(model) == files


def remember_files(model: str, files: Mapping[str, str]) -> None:
    """Note the checksums of the files in the published archive of a model."""
    _remember(MODELS, model, dict(files))


def _known(name: str) -> dict[str, Any]:
    path = known_file()
    return _table(read_values(path), name) if path else {}


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _remember(name: str, key: str, value: Any) -> None:
    path = known_file()
    # Weights of which nothing could be noted can be used like those that others got.
    with suppress(SetupError, OSError):
        if path:
            with _locked(path):
                values = _read_strictly(path)
                table = {**_table(values, name), key: value}
                write_values(path, {**values, name: {k: v for k, v in table.items() if v}})


def _read_strictly(path: Path) -> dict[str, Any]:
    """
    :raises OSError: what is there cannot be read, so it must not be replaced.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let only one process change a file at a time; another one waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w+b") as file:
        while not try_lock(file):
            time.sleep(_POLL_S)
        yield
