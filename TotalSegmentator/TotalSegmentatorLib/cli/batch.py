"""Several images, one after the other: each on its own, resumable, with a summary."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import (
    EXIT_PARTIAL,
    CancelledError,
    InputError,
    SegmentationError,
    internal_error,
)
from ..images import IMAGE_SUFFIXES, check_output, file_suffix, whole_file
from ..inputs import read_input
from ..jobs import Request
from ..outputs import REPORT, is_whole, read_report, write_folder
from ..report import input_record
from ..runs import complete
from ..session import Settings
from .console import print_json, say
from .run import run_with_bar

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Outcome:
    """How one image ended.

    :param name: its folder in the output folder.
    :param state: ``done``, ``skipped`` (was done before) or ``failed``.
    :param code: error code of a failure.
    :param message: the error in one line.
    :param found: number of structures found.
    :param seconds: time taken.
    """

    name: str
    state: str
    code: str = ""
    message: str = ""
    found: int = 0
    seconds: float = 0.0


def image_paths(given: Sequence[Path]) -> list[Path]:
    """The images meant: a folder that holds image files stands for them, another one for itself
    (a DICOM series)."""
    paths: list[Path] = []
    for path in given:
        readable = path.is_dir() and os.access(path, os.R_OK | os.X_OK)
        inside = sorted(p for p in path.iterdir() if _is_image(p)) if readable else []
        paths.extend(inside or [path])
    return paths


def modality_of_first(paths: Sequence[Path]) -> str:
    """The modality of the first image that can be read; the others are most likely the same."""
    for path in paths:
        try:
            return read_input(path)[0].modality
        except SegmentationError:
            continue  # told when its turn comes
    return ""


def _is_image(path: Path) -> bool:
    return path.is_file() and file_suffix(path) in IMAGE_SUFFIXES


def run_batch(
    paths: Sequence[Path],
    output: Path,
    request: Request,
    settings: Settings,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Segment images into folders of ``output``; returns the exit code."""
    check_output(output / SUMMARY, overwrite=True, source=None)
    output.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    first_error: SegmentationError | None = None
    for number, (name, path) in enumerate(_named(paths).items(), 1):
        prefix = f"[{number}/{len(paths)}] {name}: "
        try:
            outcomes.append(_one(name, path, output / name, request, settings, overwrite, prefix))
        except CancelledError:
            raise
        except (SegmentationError, OSError) as problem:
            error = problem if isinstance(problem, SegmentationError) else internal_error(problem)
            say.error(error)
            first_error = first_error or error
            outcomes.append(Outcome(name, "failed", error.code, str(error)))
        _write_summary(output / SUMMARY, outcomes)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        print(output / SUMMARY)
    if first_error is None:
        return 0
    all_failed = all(outcome.state == "failed" for outcome in outcomes)
    return first_error.exit_code if all_failed else EXIT_PARTIAL


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """A folder name for every image, unique also where file systems ignore case."""
    named: dict[str, Path] = {}
    taken: set[str] = set()
    for path in paths:
        stem = path.name[: -len(file_suffix(path))] if path.is_file() else path.resolve().name
        stem = stem.strip(".") or "image"  # ".." would be another folder
        name, number = stem, 2
        while name.lower() in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name.lower())
        named[name] = path
    return named


def _one(
    name: str,
    path: Path,
    folder: Path,
    request: Request,
    settings: Settings,
    overwrite: bool,
    prefix: str,
) -> Outcome:
    # A folder that is the input, or lies in it, is refused here.
    check_output(folder / REPORT, overwrite=True, source=path)
    began = time.monotonic()
    image, notices = read_input(path)
    source = str(path.absolute())
    if not overwrite and folder.exists():
        earlier = read_report(folder) if is_whole(folder) else {}
        same_image = earlier and earlier["input"]["sha256"] == input_record(image, "")["sha256"]
        wanted = complete(request, image.modality).request
        if same_image and wanted in _answered(earlier, settings):
            return Outcome(name, "skipped")
        raise InputError(
            "output.exists",
            f"The folder {name} holds something else than the result for this image.",
            "Use --overwrite or another output folder.",
        )
    segmentation = run_with_bar(image, notices, request, settings, prefix, source)
    write_folder(segmentation, folder)
    seconds = round(time.monotonic() - began, 1)
    return Outcome(name, "done", found=len(segmentation.segments), seconds=seconds)


def _answered(report: Mapping[str, Any], settings: Settings) -> list[Request]:
    """The requests that a result stands for: also the one that was to be run, where other ways are
    allowed."""
    names = ("request", "asked") if settings.fall_back else ("request",)
    return [Request.from_dict(report[name]) for name in names if name in report]


def _write_summary(path: Path, outcomes: Sequence[Outcome]) -> None:
    with whole_file(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Outcome)])
        writer.writeheader()
        writer.writerows(asdict(outcome) for outcome in outcomes)
