"""Several images: each on its own, resumable, with a summary."""

from __future__ import annotations

import csv
import os
import threading
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
from ..images import IMAGE_SUFFIXES, Image, check_output, file_suffix, whole_file
from ..inputs import read_input
from ..jobs import JobContext, Request
from ..outputs import REPORT, is_whole, read_report, write_folder
from ..report import input_record
from ..runs import complete
from ..segment import segment
from ..session import Settings
from .console import Bar, print_json, progress_bars, say
from .workers import work_off

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
    """The images meant, each once: a folder that holds image files stands for them, another one for
    itself (a DICOM series)."""
    paths: list[Path] = []
    for path in given:
        readable = path.is_dir() and os.access(path, os.R_OK | os.X_OK)
        inside = sorted(p for p in path.iterdir() if _is_image(p)) if readable else []
        paths.extend(inside or [path])
    return list(dict.fromkeys(paths))


def listed_paths(file: Path | None) -> list[Path]:
    """The paths in a list: one in each line, from the folder of the list if they are relative; a
    line that is empty or begins with # is none.

    :param file: None for no list.
    :raises InputError: ``input.bad_list``.
    """
    if file is None:
        return []
    try:
        lines = map(str.strip, file.read_text("utf-8-sig").splitlines())
        return [file.parent / line for line in lines if line and not line.startswith("#")]
    except (OSError, ValueError) as error:
        raise InputError(
            "input.bad_list",
            f"The list {file.name} cannot be read.",
            "Give a text file in UTF-8 with one path in each line.",
            str(error),
        ) from error


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
    workers: Sequence[Settings],
    overwrite: bool,
    as_json: bool,
) -> int:
    """Segment images into folders of ``output``; returns the exit code.

    :param workers: the settings of each; see :func:`.workers.workers_of`.
    """
    check_output(output / SUMMARY, overwrite=True, source=None)
    output.mkdir(parents=True, exist_ok=True)
    summary, named = _Summary(output / SUMMARY), list(_named(paths).items())
    with progress_bars() as bars:

        def serve(number: int, settings: Settings, context: JobContext) -> None:
            name, path = named[number]
            with bars(f"[{number + 1}/{len(named)}] {name}: ") as bar:
                one = _Image(name, path, output / name, request, settings, overwrite)
                error = None
                try:
                    outcome = one.segment(bar, context)
                except CancelledError:
                    raise
                except (SegmentationError, OSError) as problem:
                    known = isinstance(problem, SegmentationError)
                    error = problem if known else internal_error(problem)
                    say.error(error)
                    outcome = Outcome(name, "failed", error.code, str(error))
                summary.note(number, outcome, error)

        work_off(range(len(named)), workers, serve)
    if as_json:
        print_json([asdict(outcome) for outcome in summary.outcomes])
    else:
        print(output / SUMMARY)
    return summary.exit_code


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


class _Summary:
    """How images ended, in the order in which they were given; its file is always up to date.

    May be used by several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[int, Outcome] = {}
        self._errors: dict[int, SegmentationError] = {}
        self._lock = threading.Lock()

    @property
    def outcomes(self) -> list[Outcome]:
        """Of those that have ended."""
        return [outcome for _, outcome in sorted(self._outcomes.items())]

    @property
    def exit_code(self) -> int:
        """That of the first error if all have failed."""
        if not self._errors:
            return 0
        all_failed = len(self._errors) == len(self._outcomes)
        return self._errors[min(self._errors)].exit_code if all_failed else EXIT_PARTIAL

    def note(self, number: int, outcome: Outcome, error: SegmentationError | None = None) -> None:
        """Add how an image has ended.

        :param number: of the image, from 0.
        """
        with self._lock:
            self._outcomes[number] = outcome
            if error:
                self._errors[number] = error
            with whole_file(self._path) as part, open(part, "w", encoding="utf-8", newline="") as f:
                writer = csv.DictWriter(f, [field.name for field in fields(Outcome)])
                writer.writeheader()
                writer.writerows(map(asdict, self.outcomes))


@dataclass(frozen=True)
class _Image:
    """One of the images.

    :param folder: for its result.
    """

    name: str
    path: Path
    folder: Path
    request: Request
    settings: Settings
    overwrite: bool

    def segment(self, bar: Bar, context: JobContext) -> Outcome:
        """Segment it, unless that was done before.

        :param context: says when to stop.
        """
        # A folder that is the input, or lies in it, is refused here.
        check_output(self.folder / REPORT, overwrite=True, source=self.path)
        began = time.monotonic()
        image, notices = read_input(self.path)
        if not self.overwrite and self.folder.exists():
            self._check_earlier(image)
            return Outcome(self.name, "skipped")
        source = str(self.path.absolute())
        job = segment(image, self.request, self.settings, notices, bar.event, source)
        segmentation = job.wait(stop=context.cancelled)
        write_folder(segmentation, self.folder)
        seconds = round(time.monotonic() - began, 1)
        return Outcome(self.name, "done", found=len(segmentation.segments), seconds=seconds)

    def _check_earlier(self, image: Image) -> None:
        """:raises InputError: ``output.exists`` if the folder holds anything but the result."""
        earlier = read_report(self.folder) if is_whole(self.folder) else {}
        same_image = earlier and earlier["input"]["sha256"] == input_record(image, "")["sha256"]
        wanted = complete(self.request, image.modality).request
        if not same_image or wanted not in _answered(earlier, self.settings):
            raise InputError(
                "output.exists",
                f"The folder {self.name} holds something else than the result for this image.",
                "Use --overwrite or another output folder.",
            )


def _answered(report: Mapping[str, Any], settings: Settings) -> list[Request]:
    """The requests that a result stands for: also the one that was to be run, where other ways are
    allowed."""
    names = ("request", "asked") if settings.fall_back else ("request",)
    return [Request.from_dict(report[name]) for name in names if name in report]
