"""Writing a segmentation to files, each whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError
from .images import file_suffix, whole_file, write_labelmap, write_segmentation
from .jobs import Request
from .report import SCHEMA, provenance_texts, public_provenance, write_csv
from .segment import Segmentation

SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii")
SEGMENTATION, LABELMAP = "segmentation.seg.nrrd", "segmentation.nii.gz"
REPORT, TABLE = "report.json", "structures.csv"


def write_file(segmentation: Segmentation, path: Path) -> None:
    """Write the labels in the format that the suffix names.

    :raises InputError: ``output.unknown_format``.
    """
    suffix = file_suffix(path)
    if suffix == ".seg.nrrd":
        write_segmentation(segmentation.layers, path, provenance_texts(segmentation.report))
    elif suffix in SUFFIXES:
        layer = segmentation.merged()
        comment = json.dumps(public_provenance(segmentation.report), ensure_ascii=False)
        write_labelmap(layer.labels, path, layer.label_names, segmentation.banner, comment)
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


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """Write a report: all of it as JSON, or the table of structures if the name ends with .csv."""
    if file_suffix(path) == ".csv":
        write_csv(report["structures"], path)
    else:
        write_json(report, path)


def write_folder(segmentation: Segmentation, folder: Path) -> None:
    """Write a segmentation, a labelmap, a table and a report to a folder.

    The report comes last, so a folder with a report is whole. Other files in it are left alone.

    :raises InputError, SetupError: see :func:`~.images.whole_file`.
    """
    (folder / REPORT).unlink(missing_ok=True)
    write_file(segmentation, folder / SEGMENTATION)
    write_file(segmentation, folder / LABELMAP)
    write_report(segmentation.report, folder / TABLE)
    write_report(segmentation.report, folder / REPORT)


def read_report(folder: Path) -> dict[str, Any]:
    """The report in a folder; empty if there is none that can be read."""
    try:
        return load_report(folder / REPORT)
    except InputError:
        return {}


def is_whole(folder: Path) -> bool:
    """Whether a folder has all files of a result."""
    return all((folder / name).is_file() for name in (SEGMENTATION, LABELMAP, TABLE, REPORT))


def load_report(path: Path) -> dict[str, Any]:
    """The content of a report.

    :raises InputError: ``input.no_report`` if the file is none, or one of another version.
    """
    try:
        report = json.loads(path.read_text("utf-8"))
        whole = (
            report["schema"] == SCHEMA
            and all(isinstance(report["input"][key], str) for key in ("path", "sha256"))
            and isinstance(report["provenance"], dict)
            and all(isinstance(s["id"], str) and "voxels" in s for s in report["structures"])
        )
        for request in (report["request"], report.get("asked", report["request"])):
            Request.from_dict(request)
    except (OSError, ValueError, TypeError, KeyError, InputError) as error:
        raise _no_report(path, str(error)) from error
    if not whole:
        raise _no_report(path)
    return dict(report)


def _no_report(path: Path, details: str = "") -> InputError:
    return InputError(
        "input.no_report",
        f"{path.name} is not a report that this version can read.",
        "Give the report.json of an earlier result.",
        details,
    )
