"""The public files that trained models are downloaded from."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .tasks import Model

_DATA = Path(__file__).parent / "data" / "weights.csv"
#: Bytes of the archive of one plain network of nnU-Net, which most of them hold.
TYPICAL_BYTES = 234_000_000


@dataclass(frozen=True)
class Archive:
    """One public file of trained weights.

    :param dataset_id: number of the nnU-Net dataset; 0 for networks that are not nnU-Net's.
    :param release: name of the public release that holds it.
    :param file: name of the file; the folder in it has the same name without ``.zip``.
    :param size_bytes: size of the file; about, where only that is known.
    :param sha256: checksum of the file; empty where none is published.
    :param md5: older checksum of the file; empty where none is published.
    :param purpose: which hosts it comes from: a key of ``environment/data/hosts.json``.
    """

    dataset_id: int
    release: str
    file: str
    size_bytes: int
    sha256: str
    md5: str = ""
    purpose: str = "weights"

    @property
    def key(self) -> str:
        """Release and file, as in an address: ``v2.0.0-weights/Dataset299_body_1559subj.zip``."""
        return f"{self.release}/{self.file}"

    @property
    def is_checkpoint(self) -> bool:
        """Whether the file itself is a model's checkpoint, and not a packed folder."""
        return not self.file.endswith(".zip")


def archive(model: Model) -> Archive | None:
    """The archive of a model; None if there is no public one (weights that need a licence)."""
    return _table().get((model.release, model.checkpoint or f"{model.folder}.zip"))


@cache
def _table() -> Mapping[tuple[str, str], Archive]:
    with open(_DATA, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["release"], row["file"]): _archive_from(row) for row in rows}


def _archive_from(row: Mapping[str, str]) -> Archive:
    numbers = {name: int(row[name]) for name in ("dataset_id", "size_bytes")}
    return Archive(**{**row, **numbers})
