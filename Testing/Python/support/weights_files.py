"""Small folders and archives that look like those of trained models."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from TotalSegmentatorLib.catalog import Model


def checkpoint_bytes(size: int = 10_000) -> bytes:
    """A zip file, as PyTorch writes them, with random content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", os.urandom(size))
    return buffer.getvalue()


def model_files(model: Model, size: int = 10_000) -> dict[str, bytes]:
    """The files of a model by their paths below the weights folder."""
    if model.checkpoint:
        return {f"{model.folder}/{model.checkpoint}": checkpoint_bytes(size)}
    place = f"{model.folder}/{model.subfolder}"
    folds = model.folds or (0, 1)
    return {
        f"{place}/plans.json": b"{}",
        f"{place}/dataset.json": b"{}",
        **{f"{place}/fold_{fold}/checkpoint_final.pth": checkpoint_bytes(size) for fold in folds},
    }


def put_model(folder: Path, model: Model) -> Path:
    """Write a model as others unpack it; returns its first checkpoint."""
    for name, content in model_files(model).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return next((folder / model.folder).rglob("*.pt*"))


def zipped(files: dict[str, bytes]) -> bytes:
    """An archive of files by their names in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
