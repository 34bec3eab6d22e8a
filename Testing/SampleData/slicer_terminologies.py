#!/usr/bin/env python3
"""Fetch the terminologies that Slicer ships and print where the files are.

They come from the wheel of trame-slicer (Apache-2.0), which carries Slicer's own files.

Usage: python slicer_terminologies.py [FOLDER]     (default: .cache/terminologies in the repository)
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "TotalSegmentator"))

from TotalSegmentatorLib.environment.pypi_files import PyPIFiles  # noqa: E402

DEFAULT_CACHE = REPOSITORY / ".cache" / "terminologies"
PACKAGE, VERSION = "trame-slicer", "2.0.0"
_MEMBER_FOLDER = "trame_slicer/resources/terminologies"

# The file name and SHA-256 of every member, by the field of SlicerTerminologies it fills.
MEMBERS: dict[str, tuple[str, str]] = {
    "dicom_master": (
        "SegmentationCategoryTypeModifier-DICOM-Master.term.json",
        "50fd02b4e1f503bd278fc547b0656abe5cb4b6ac732672d41d86f478edace76c",
    ),
    "general_anatomy": (
        "SegmentationCategoryTypeModifier-SlicerGeneralAnatomy.term.json",
        "e60fd419038fad780d33a6c97fb91eda3c7e576900ebea851a115be6d098c236",
    ),
    "anatomic_regions": (
        "AnatomicRegionAndModifier-DICOM-Master.term.json",
        "c5b8986f2d9bcb54ef7b7bd90cea35e3fb8def218e9cc54c02ed30ab04ffdf42",
    ),
}


@dataclass(frozen=True)
class SlicerTerminologies:
    """Slicer's own lists of codes, each a JSON file.

    :param dicom_master: categories, types and modifiers of DICOM.
    :param general_anatomy: the list that Slicer's users see first.
    :param anatomic_regions: anatomic regions and their modifiers of DICOM.
    """

    dicom_master: Path
    general_anatomy: Path
    anatomic_regions: Path


def fetch(cache: Path = DEFAULT_CACHE) -> SlicerTerminologies:
    """The three files, fetched on the first call.

    :raises FetchError: if they can neither be found nor fetched.
    """
    sums = dict(MEMBERS.values())
    title = "Slicer's terminologies"
    PyPIFiles(title, PACKAGE, VERSION, _MEMBER_FOLDER, sums).fetch(cache)
    return SlicerTerminologies(**{field: cache / name for field, (name, _) in MEMBERS.items()})


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch Slicer's terminologies.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_CACHE)
    for field, path in asdict(fetch(parser.parse_args().folder)).items():
        print(f"{field}: {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
