"""The public archives that trained models are downloaded from."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .tasks import Model

_DATA = Path(__file__).parent / "data" / "weights.csv"
#: Bytes of the archive of one plain network, which most of them hold.
TYPICAL_BYTES = 234_000_000


@dataclass(frozen=True)
class Archive:
    """One public archive of trained weights.

    :param dataset_id: number of the nnU-Net dataset.
    :param release: name of the public release that holds it.
    :param file: name of the file; the folder in it has the same name without ``.zip``.
    :param size_bytes: size of the file.
    :param sha256: checksum of the file; empty where none is published.
    """

    dataset_id: int
    release: str
    file: str
    size_bytes: int
    sha256: str

    @property
    def key(self) -> str:
        """Release and file, as in an address: ``v2.0.0-weights/Dataset299_body_1559subj.zip``."""
        return f"{self.release}/{self.file}"


def archive(model: Model) -> Archive | None:
    """The archive of a model; None if there is no public one (weights that need a licence)."""
    return _table().get((model.release, f"{model.folder}.zip"))


@cache
def _table() -> Mapping[tuple[str, str], Archive]:
    with open(_DATA, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["release"], row["file"]): _archive_from(row) for row in rows}


def _archive_from(row: Mapping[str, str]) -> Archive:
    return Archive(
        int(row["dataset_id"]), row["release"], row["file"], int(row["size_bytes"]), row["sha256"]
    )
