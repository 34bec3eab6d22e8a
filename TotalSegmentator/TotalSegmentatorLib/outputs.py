"""Writing a segmentation to files, each whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError
from .images import file_suffix, whole_file, write_labelmap, write_segmentation
from .segment import Segmentation

SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii")
REPORT = "report.json"


def write_file(segmentation: Segmentation, path: Path) -> None:
    """Write the labels in the format that the suffix names.

    :raises InputError: ``output.unknown_format``.
    """
    suffix = file_suffix(path)
    if suffix == ".seg.nrrd":
        provenance = {key: _text(value) for key, value in segmentation.provenance.items()}
        write_segmentation(segmentation.labels, path, segmentation.segments, provenance)
    elif suffix in SUFFIXES:
        write_labelmap(segmentation.labels, path, segmentation.label_names, segmentation.banner)
    else:
        raise InputError(
            "output.unknown_format",
            f"'{path.name}' has no suffix of a format that can be written.",
            f"Use one of {', '.join(SUFFIXES)}, or a folder.",
        )


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Write JSON for people and programs."""
    with whole_file(path) as part:
        part.write_text(json.dumps(values, indent=1, ensure_ascii=False), "utf-8")


def write_folder(segmentation: Segmentation, folder: Path) -> None:
    """Write ``segmentation.seg.nrrd``, ``segmentation.nii.gz`` and ``report.json`` to a folder.

    The folder appears when all of it is there; an older one of the same name is replaced.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        write_file(segmentation, part / "segmentation.seg.nrrd")
        write_file(segmentation, part / "segmentation.nii.gz")
        write_json(segmentation.report, part / REPORT)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
