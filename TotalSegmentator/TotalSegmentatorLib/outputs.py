"""Writing a segmentation to files, each whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError
from .images import Layer, file_suffix, whole_file, write_labelmap, write_segmentation
from .segment import Segmentation

SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii")
SEGMENTATION, LABELMAP = "segmentation.seg.nrrd", "segmentation.nii.gz"
REPORT = "report.json"


def write_file(segmentation: Segmentation, path: Path) -> None:
    """Write the labels in the format that the suffix names.

    :raises InputError: ``output.unknown_format``.
    """
    suffix = file_suffix(path)
    if suffix == ".seg.nrrd":
        provenance = {key: _text(value) for key, value in segmentation.provenance.items()}
        write_segmentation([Layer(segmentation.labels, segmentation.segments)], path, provenance)
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

    The report comes last, so a folder with a report is whole. Other files in it are left alone.

    :raises InputError, SetupError: see :func:`~.images.whole_file`.
    """
    (folder / REPORT).unlink(missing_ok=True)
    write_file(segmentation, folder / SEGMENTATION)
    write_file(segmentation, folder / LABELMAP)
    write_json(segmentation.report, folder / REPORT)


def read_report(folder: Path) -> dict[str, Any]:
    """The report in a folder; empty if there is none that can be read."""
    try:
        return dict(json.loads((folder / REPORT).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
