"""Writing 115 labels as a DICOM segmentation: our way beside others, on the same images.

Every way is a process of its own, which reads the labels and the images' headers, and writes a
file; its time begins when its packages are imported. Afterwards each file is read again with
pydicom and NumPy, and all its frames are compared with the labels. The labels are ellipsoids, each
in about 75 slices.

    ours, ours-deflate, ours-labelmap    what the engine process does
    highdicom, highdicom-labelmap        highdicom alone, as its user guide says
    dcmqi, dcmqi-labelmap                itkimage2segimage, labels from an uncompressed file
    upstream                             the official package's own writer (minutes; --upstream)

Needs Linux and the environments that `make` makes.

    .venv/bin/python Benchmarks/dicom_writing.py --upstream --json dicom.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from parts import works
from parts.application import LOG
from parts.process_tree import Watched
from parts.works import ENGINE_PYTHON, ROOT
from pydicom import dcmread
from pydicom.pixels import iter_pixels

sys.path.insert(0, str(ROOT / "Testing"))

from SampleData.dicom_series import Grid, save, slices_of

from TotalSegmentatorLib.catalog.terminology import ANATOMICAL_STRUCTURE, Code
from TotalSegmentatorLib.dicom.orders import (
    Algorithm,
    DicomOptions,
    Order,
    SegmentContent,
)
from TotalSegmentatorLib.dicom.reading import source_of
from TotalSegmentatorLib.dicom.series import find_series

LABELS, CELLS = 115, 5
LIVER = Code("SCT", "10200004", "Liver")
GRID = Grid(spacing=(0.8, 0.8, 1.0))
DCMQI = {
    "dcmqi": [],
    "dcmqi-labelmap": ["--segmentationType", "labelmap", "--useLabelIDAsSegmentNumber"],
}
TITLES = {
    "ours": "ours, bitmaps",
    "highdicom": "highdicom, bitmaps",
    "dcmqi": "dcmqi, bitmaps",
    "upstream": "the official package's writer, bitmaps",
    "ours-deflate": "ours, bitmaps deflated",
    "ours-labelmap": "ours, labelmap (RLE)",
    "highdicom-labelmap": "highdicom, labelmap (RLE)",
    "dcmqi-labelmap": "dcmqi, labelmap",
}
# Way of ours, the one that it is compared with, and its share of that one's time at most.
GOALS = (("ours", "highdicom", 0.5), ("ours-labelmap", "highdicom-labelmap", 0.9))
PEAK_MB = 1000


def make_labels(size: tuple[int, int, int]) -> np.ndarray:
    """Ellipsoids in a pattern of 5 x 5 x 5 that all but touch, (K, J, I) uint8."""
    shape = size[::-1]
    cell = [n // CELLS for n in shape]
    k, j, i = np.ogrid[tuple(slice(-1.06, 1.06, complex(n)) for n in cell)]
    ellipsoid = k**2 + j**2 + i**2 <= 1
    labels = np.zeros(shape, np.uint8)
    for label, place in zip(range(1, LABELS + 1), np.ndindex(CELLS, CELLS, CELLS), strict=False):
        part = tuple(slice(p * n, (p + 1) * n) for p, n in zip(place, cell, strict=True))
        labels[part][ellipsoid] = label
    return labels


def make_input(folder: Path, labels: np.ndarray) -> None:
    """What all ways read."""
    save(slices_of(np.broadcast_to(np.int16(0), labels.shape), GRID), folder / "images")
    np.save(folder / "labels.npy", labels)
    (series,) = find_series(folder / "images").series
    contents = tuple(
        SegmentContent(0, n, f"structure_{n}", f"Structure {n}", ANATOMICAL_STRUCTURE, LIVER)
        for n in range(1, LABELS + 1)
    )
    source = source_of(series.volumes[0])
    algorithm, options = Algorithm("TotalSegmentator", "2.18.0", "total"), DicomOptions()
    order = Order(source, (folder / "labels.npy",), contents, algorithm, options, folder)
    (folder / "order.json").write_text(json.dumps(order.to_dict()), "utf-8")
    image = sitk.GetImageFromArray(labels)
    rows, columns, slices = GRID.spacing
    image.SetSpacing((columns, rows, slices))
    image.SetOrigin(GRID.origin)
    sitk.WriteImage(image, str(folder / "labels.nrrd"))
    # The grid of dicom2nifti, from which the official package writes.
    sitk.WriteImage(sitk.DICOMOrient(image, "LAS"), str(folder / "labels.nii.gz"))
    (folder / "metadata.json").write_text(json.dumps(_dcmqi_metadata()), "utf-8")


def _dcmqi_metadata() -> dict[str, Any]:
    code = {
        "CodeValue": LIVER.value,
        "CodingSchemeDesignator": LIVER.scheme,
        "CodeMeaning": LIVER.meaning,
    }
    segment = {
        "SegmentAlgorithmType": "AUTOMATIC",
        "SegmentAlgorithmName": "TotalSegmentator",
        "SegmentedPropertyCategoryCodeSequence": code,
        "SegmentedPropertyTypeCodeSequence": code,
        "recommendedDisplayRGBValue": [128, 128, 128],
    }
    return {
        "ContentCreatorName": "B",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "100",
        "InstanceNumber": "1",
        "BodyPartExamined": "WHOLEBODY",
        "segmentAttributes": [
            [
                {**segment, "labelID": n, "SegmentLabel": f"Structure {n}"}
                for n in range(1, LABELS + 1)
            ]
        ],
    }


def command(way: str, folder: Path) -> list[str | Path]:
    """How a way is started."""
    if way not in DCMQI:
        return [ENGINE_PYTHON, Path(works.__file__).with_name("dicom_writers.py"), way, folder]
    program = shutil.which("itkimage2segimage", path=str(Path(sys.executable).parent))
    if program is None:
        raise RuntimeError("dcmqi is missing; 'make' installs it")
    return [
        program,
        "--inputImageList",
        folder / "labels.nrrd",
        "--inputDICOMDirectory",
        folder / "images",
        "--outputDICOM",
        folder / f"{way}.dcm",
        "--inputMetadata",
        folder / "metadata.json",
        "--skip",
        "1",
        *DCMQI[way],
    ]


def measure(way: str, folder: Path, labels: np.ndarray) -> dict[str, Any]:
    """Run a way once, and look at its file."""
    with Watched(command(way, folder), os.environ, LOG) as one:
        one.end()
        usage = one.lap()
    path = folder / f"{way}.dcm"
    told = folder / f"{way}.json"  # a program that imports nothing tells nothing
    seconds = json.loads(told.read_text())["seconds"] if told.exists() else usage.wall_s
    result = {
        "way": way,
        "seconds": seconds,
        "process_s": usage.wall_s,
        "cpu_s": usage.cpu_s,
        "peak_mb": usage.peak_rss_mb,
        "size_mb": path.stat().st_size / 1e6,
        "same_labels": holds(path, labels),
    }
    path.unlink()
    return result


def holds(path: Path, labels: np.ndarray) -> bool:
    """Whether a file has these labels in these places, and no others; it has the images' pixels."""
    ds = dcmread(path)
    first, step = GRID.position(0), GRID.position(1) - GRID.position(0)
    found = np.zeros_like(labels)
    for groups, frame in zip(ds.PerFrameFunctionalGroupsSequence, _frames(ds, path), strict=True):
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        k = (position - first) @ step / (step @ step)
        if abs(k - round(k)) > 1e-3:
            return False
        if "SegmentIdentificationSequence" in groups:
            number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            found[round(k)][frame != 0] = number
        else:
            found[round(k)] = frame
    return bool(np.array_equal(found, labels))


def _frames(ds: Any, path: Path) -> Any:
    """(rows, columns), of each frame."""
    if ds.BitsAllocated != 1:
        return iter_pixels(path)
    size = ds.Rows * ds.Columns
    assert size % 8 == 0, "frames must not begin within a byte"
    data = np.frombuffer(ds.PixelData, np.uint8)[: ds.NumberOfFrames * size // 8]
    packed = data.reshape(ds.NumberOfFrames, -1)
    return (np.unpackbits(one, bitorder="little").reshape(ds.Rows, ds.Columns) for one in packed)


def table(results: Sequence[dict[str, Any]], size: Sequence[int]) -> str:
    """The results as Markdown."""
    rows = [
        f"{LABELS} labels, {' x '.join(map(str, size))} voxels:",
        "",
        "| way | seconds (median) | CPU seconds, with imports | peak memory (MB) | file (MB) "
        "| labels read again |",
        "|---|---:|---:|---:|---:|---|",
    ]
    seconds, peaks = {}, {}
    for way, title in TITLES.items():
        runs = [one for one in results if one["way"] == way]
        if runs:
            seconds[way] = statistics.median(one["seconds"] for one in runs)
            peaks[way] = max(one["peak_mb"] for one in runs)
            same = "the same" if all(one["same_labels"] for one in runs) else "DIFFERENT"
            cpu_s = statistics.median(one["cpu_s"] for one in runs)
            numbers = f"{seconds[way]:.1f} | {cpu_s:.1f} | {peaks[way]:.0f}"
            rows.append(f"| {title} | {numbers} | {runs[0]['size_mb']:.1f} | {same} |")
    rows.append("")
    for way, other, most in GOALS:
        if way in seconds and other in seconds:
            share = seconds[way] / seconds[other]
            rows.append(
                f"{TITLES[way]}: {share:.2f} of highdicom's time (at most {most}), "
                f"{peaks[way]:.0f} MB (at most {PEAK_MB})."
            )
    return "\n".join(rows)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 400), metavar="N")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each way (default 1)")
    parser.add_argument("--ways", nargs="+", choices=TITLES, metavar="WAY", help="only these")
    parser.add_argument(
        "--upstream", action="store_true", help="the official package's writer too, once"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs to FILE")
    options = parser.parse_args()
    ways = options.ways or [way for way in TITLES if way != "upstream"]
    labels = make_labels(tuple(options.size))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_input(folder, labels)
        runs = [way for _ in range(options.repeats) for way in ways]
        runs += ["upstream"] if options.upstream else []
        results = [measure(way, folder, labels) for way in runs]
    print(table(results, options.size))
    if options.json:
        values = {"size": options.size, "runs": results}
        options.json.write_text(json.dumps(values, indent=1), "utf-8")


if __name__ == "__main__":
    main()
