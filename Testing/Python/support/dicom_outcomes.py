"""What comes of files with DICOM series: as values, and as rows of Docs/dicom-checks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from TotalSegmentatorLib.dicom.reading import read_volume
from TotalSegmentatorLib.dicom.series import find_series
from TotalSegmentatorLib.dicom.volumes import DicomVolume, Found
from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.images import Image, Notice

HEAD = "| variant | outcome | code | what people are told |\n|---|---|---|---|\n"


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of reading a volume: an image with notices, or an error."""

    volume: DicomVolume
    image: Image | None = None
    notices: tuple[Notice, ...] = ()
    error: SegmentationError | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a folder: what was found, and of its volumes; or the error of the search."""

    found: Found = field(default_factory=lambda: Found((), {}))
    readings: tuple[Reading, ...] = ()
    error: SegmentationError | None = None


def outcome(folder: Path) -> Outcome:
    """Search a folder and read all that is found."""
    try:
        found = find_series(folder)
    except SegmentationError as error:
        return Outcome(error=error)
    return Outcome(found, tuple(_read(one) for one in volumes_of(found)))


def volumes_of(found: Found) -> list[DicomVolume]:
    """The volumes of all series."""
    return [volume for series in found.series for volume in series.volumes]


def refusals_of(found: Found) -> list[SegmentationError]:
    """Why other images of all series are no volumes."""
    return [refusal for series in found.series for refusal in series.refusals]


def _read(volume: DicomVolume) -> Reading:
    try:
        return Reading(volume, *read_volume(volume))
    except SegmentationError as error:
        return Reading(volume, error=error)


def row(name: str, outcome: Outcome) -> str:
    """An outcome as a row of the table."""
    if outcome.error:
        return _row(name, ["refused"], [outcome.error])
    refusals = refusals_of(outcome.found)
    texts = [*map(_text, outcome.readings), *["refused"] * len(refusals)]
    others = outcome.found.others
    if others:
        kinds = ", ".join(sorted(filter(None, others)))
        texts.append(f"{sum(others.values())} other files" + (f" ({kinds})" if kinds else ""))
    told: list[Notice | SegmentationError] = []
    for reading in outcome.readings:
        told += [reading.error] if reading.error else reading.notices
    return _row(name, texts or ["nothing found"], [*told, *refusals])


def _text(reading: Reading) -> str:
    if reading.error:
        return "refused"
    volume = reading.volume
    grid = f" on a grid of {volume.shape[0]}" if volume.shape[0] != len(volume.slices) else ""
    title = f" ({volume.title})" if volume.title else ""
    return f"{len(volume.slices)} slices{grid}{title}"


def _row(name: str, texts: Sequence[str], told: Sequence[Notice | SegmentationError]) -> str:
    messages: dict[str, str] = {}
    for one in told:
        messages.setdefault(one.code, one.message)  # of several volumes, the first one's
    codes = ", ".join(f"`{code}`" for code in messages) or "-"
    said = " ".join(f"“{message}”" for message in messages.values()) or "-"
    return f"| {name} | {'; '.join(texts)} | {codes} | {said} |\n"
