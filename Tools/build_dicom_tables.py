#!/usr/bin/env python3
"""Make the page about DICOM in the documentation: what comes of which series, and who agrees.

Makes all variants of a series (``Testing/SampleData/dicom_variants.py``) and reads them; writes
segmentations in all orientations and has them read by highdicom and dcmqi; has objects checked by
dciodvfy (Debian's dicom3tools). Takes about a minute, and the application's environment:

    .venv/bin/python Tools/build_dicom_tables.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from generated_files import REPOSITORY, check_parser, write_or_compare

_TESTS = REPOSITORY / "Testing" / "Python"
sys.path[1:1] = [str(path) for path in (REPOSITORY / "Testing", _TESTS, _TESTS / "dicom")]

import numpy as np  # noqa: E402
from made_orders import (  # noqa: E402
    content,
    made_labels,
    made_order,
    read_places,
    source_of_slices,
)
from SampleData.dicom_series import (  # noqa: E402
    Orientation,
    made_slices,
    orientations,
    random_orientations,
    save,
)
from SampleData.dicom_variants import SECTIONS  # noqa: E402
from support.dicom_outcomes import HEAD, outcome, row  # noqa: E402
from test_orientations import assert_same_places, by_dcmqi, written  # noqa: E402

from TotalSegmentatorLib.dicom.orders import (  # noqa: E402
    MEASUREMENTS,
    SEGMENTATION,
    STRUCTURE_SET,
)
from TotalSegmentatorLib.dicom.writing.writing import write  # noqa: E402
from TotalSegmentatorLib.jobs import JobContext  # noqa: E402

PAGE = REPOSITORY / "Docs" / "dicom-checks.md"
_RANDOM = 100
_HEAD = """\
# DICOM: what comes of which series, and who agrees

Made by `Tools/build_dicom_tables.py`. Do not edit.

## Reading

Every row is a test (`Testing/Python/dicom/test_variants.py`): a small made series is changed as
scanners, archives and accidents do it, and read again. What is read must be right in every voxel
and place; the same is tested with a real series of 20 slices. A series that is refused does not
keep others from being read. “Other files” are those that hold no image; they are counted and left
alone.
"""
_ORIENTATIONS = """\
## Places of what is written

A segmentation of three labels without any symmetry is written for a series that lies so in the
patient, and read by another program by the file's own headers. “Identical” means that it finds
exactly the voxels that have a label, all of them within 0.005 mm of where the images' headers put
their pixels. Directions are in LPS.

| series | rows run along | columns run along | bitmaps: highdicom | bitmaps: dcmqi | labelmap: \
highdicom | labelmap: dcmqi |
|---|---|---|---|---|---|---|
"""
_VALIDATION = """\
## What dciodvfy says of what is written

`dciodvfy -new` of Debian's dicom3tools, on the objects of one segmentation of a small CT. It is
older than labelmaps, whose segment 0 is the background, and does not know them; highdicom and dcmqi
judge them above. Deflated files it cannot read: they are bitmaps whose file is compressed as a
whole.

| object | errors | warnings |
|---|---|---|
"""

_TITLES = {SEGMENTATION: "bitmaps", STRUCTURE_SET: "RTSTRUCT", MEASUREMENTS: "SR"}


def main() -> int:
    arguments = check_parser(__doc__.splitlines()[0]).parse_args()
    warnings.simplefilter("ignore")  # of pydicom: many files are wrong on purpose
    parts = [_HEAD, *_variants(), _ORIENTATIONS + _orientations(), _VALIDATION + _validation()]
    return write_or_compare({PAGE: "\n".join(parts)}, arguments.check)


def _variants() -> list[str]:
    tables = []
    for title, makers in SECTIONS.items():
        with tempfile.TemporaryDirectory() as temporary:
            rows = []
            for number, (name, maker) in enumerate(makers.items()):
                folder = Path(temporary, str(number), "series")
                folder.mkdir(parents=True)
                maker(made_slices(), folder)
                rows.append(row(name, outcome(folder)))
        tables.append(f"### {title}: {len(makers)}\n\n{HEAD}" + "".join(rows))
    return tables


# ---- places ---------------------------------------------------------------------------------


def _orientations() -> str:
    """The named orientations one by one, then the random ones together."""
    rows = []
    for one in orientations():
        cells = [one.name, _direction(one.grid.row), _direction(one.grid.column), *_judged(one)]
        rows.append(cells)
    random = [one for one in random_orientations(2 * _RANDOM) if not one.grid.lean_mm][:_RANDOM]
    verdicts = zip(*map(_judged, random), strict=True)
    counts = (f"{verdict.count('identical')} of {len(verdict)} identical" for verdict in verdicts)
    rows.append([f"{_RANDOM} random ones", "any", "any", *counts])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _direction(vector: Sequence[float]) -> str:
    return " ".join(f"{value:.3g}" for value in vector)


def _judged(orientation: Orientation) -> list[str]:
    """What highdicom and dcmqi find in bitmaps, then in a labelmap."""
    verdicts = []
    for options in ({}, {"labelmap": True}):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            slices, labels, path = written(orientation, folder, **options)
            for found in (read_places(path), by_dcmqi(path, folder)):
                verdicts.append(_verdict(found, slices, labels))
    return verdicts


def _verdict(found: dict[int, np.ndarray], slices: list, labels: np.ndarray) -> str:
    try:
        assert_same_places(found, slices, labels)
    except AssertionError:
        return "**different**"
    return "identical"


# ---- validation -----------------------------------------------------------------------------


def _validation() -> str:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        all_kinds = {"structure_set": True, "measurements": True}
        files = _objects(folder / "bitmaps", **all_kinds)
        files["labelmap"] = _objects(folder / "labelmap", labelmap=True)["bitmaps"]
        return "".join(_findings(name, path) for name, path in files.items())


def _objects(folder: Path, **options: bool) -> dict[str, Path]:
    slices = made_slices()
    (header, *_) = save(slices, folder)
    measured = {"volume_ml": 1.5, "mean": 40.0, "sd": 9.0, "median": 38.0}
    contents = [content(label, **measured) for label in (1, 2, 3)]
    labels = made_labels((len(slices), slices[0].Rows, slices[0].Columns))
    source = source_of_slices(slices, header)
    order = made_order(source, [labels], folder / "objects", contents, **options)
    files = write(order, JobContext(lambda _: None)).files
    return {_TITLES[kind]: path for kind, path in files.items()}


def _findings(name: str, path: Path) -> str:
    command = ["dciodvfy", "-new", str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    cells = []
    for kind in ("Error - ", "Warning - "):
        lines = dict.fromkeys(answer.stderr.splitlines())
        texts = [f"`{line.removeprefix(kind)}`" for line in lines if line.startswith(kind)]
        cells.append("<br>".join(texts) or "none")
    return f"| {name} | {' | '.join(cells)} |\n"


if __name__ == "__main__":
    sys.exit(main())
