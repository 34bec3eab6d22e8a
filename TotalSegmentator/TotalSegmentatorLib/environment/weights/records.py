"""What is noted of weights.

Beside a model, for everybody who uses the folder: where it came from and the checksums of its
checkpoints, by which damage is found. With the user's data, where nobody else can change it: which
archives and checkpoints are the published ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...engines.known_weights import CHECKPOINTS
from ...errors import SetupError
from ...jobs.checksums import sha256_of
from ..json_files import read_values, write_values
from ..paths import user_data_folder

_RECORD = "weights.json"
_ARCHIVES = "archives"


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    :param archive: name of the archive, or of the folder.
    :param sha256: checksum of the archive; empty for a folder.
    :param source: the host; ``import`` for files of the user's.
    :param verified: whether the archive is the published one.
    """

    archive: str
    sha256: str
    source: str
    verified: bool


@dataclass(frozen=True)
class Record(Origin):
    """What is noted in a model's folder.

    :param verified: whether the archive, or each checkpoint, is the published one.
    :param obtained: when, UTC.
    :param checkpoints: checksum of each checkpoint, by its path below the folder.
    """

    obtained: str
    checkpoints: Mapping[str, str]


def write_record(
    origin: Origin, place: Path, on_block: Callable[[], None] = lambda: None
) -> Record:
    """Note where a model comes from, in its folder, which nobody uses yet.

    :param on_block: called again and again while checksums are made; may raise.
    """
    sums = checkpoint_sums(place, on_block)
    verified = origin.verified or set(_known(CHECKPOINTS, list)).issuperset(sums.values())
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Record(**asdict(replace(origin, verified=verified)), obtained=now, checkpoints=sums)
    (place / _RECORD).write_text(json.dumps(asdict(record), indent=1), "utf-8")
    return record


def checkpoint_sums(place: Path, on_block: Callable[[], None] = lambda: None) -> dict[str, str]:
    """The checksum of every checkpoint in a model's folder, by its path below it."""
    return {
        path.relative_to(place).as_posix(): sha256_of(path, on_block)
        for path in sorted(place.glob("*/fold_*/*.pth"))
    }


def read_record(place: Path) -> Record | None:
    """What is noted in a model's folder; None if nothing is, as of weights that others got."""
    try:
        record = Record(**read_values(place / _RECORD))
    except TypeError:
        return None
    return record if isinstance(record.checkpoints, dict) else None


def known_file() -> Path | None:
    """The file that says which archives and checkpoints are the published ones; None if the user
    has no folder for such files."""
    try:
        return user_data_folder() / "weights-hashes.json"
    except RuntimeError:  # there is no home folder
        return None


def known_archive(key: str) -> str:
    """The checksum of an archive as it was when it was first got; empty if it never was.

    :param key: see :attr:`~.catalog.Archive.key`.
    """
    return str(_known(_ARCHIVES, dict).get(key, ""))


def remember_archive(key: str, sha256: str) -> None:
    """Note the checksum of an archive that came from where it is published."""
    _remember(_ARCHIVES, {**_known(_ARCHIVES, dict), key: sha256})


def remember_checkpoints(sums: Iterable[str]) -> None:
    """Note the checksums of checkpoints that were in a published archive."""
    _remember(CHECKPOINTS, sorted({*_known(CHECKPOINTS, list), *sums}))


def _known(name: str, kind: type) -> Any:
    path = known_file()
    found = read_values(path).get(name) if path else None
    return found if isinstance(found, kind) else kind()


def _remember(name: str, values: Any) -> None:
    path = known_file()
    # Weights of which nothing could be noted can be used like those that others got.
    with suppress(SetupError):
        if path:
            write_values(path, {**read_values(path), name: values})
