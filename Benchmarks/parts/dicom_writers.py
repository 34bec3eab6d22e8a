"""Writes labels as a DICOM segmentation in one of several ways; started by dicom_writing.py.

    python dicom_writers.py WAY FOLDER

The folder holds ``order.json``, ``labels.npy``, ``labels.nii.gz`` and the images in ``images``. The
result is ``FOLDER/WAY.dcm``, and in ``FOLDER/WAY.json`` how many seconds it took when all packages
were imported, which the engine process has behind it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TotalSegmentator"))

Work = Callable[[], object]


def ours(folder: Path, path: Path, **options: bool) -> Work:
    """What the engine process does."""
    from TotalSegmentatorLib.dicom.orders import SEGMENTATION, DicomOptions, Order
    from TotalSegmentatorLib.dicom.writing.writing import write
    from TotalSegmentatorLib.jobs import JobContext

    def work() -> None:
        order = Order.from_dict(json.loads((folder / "order.json").read_text("utf-8")))
        order = replace(order, options=DicomOptions(**options))
        write(order, JobContext(lambda _: None)).files[SEGMENTATION].rename(path)

    return work


def highdicom(folder: Path, path: Path, kind: str, syntax: str) -> Work:
    """What highdicom's user guide says, with the images' headers only."""
    from highdicom import UID
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom import dcmread
    from pydicom.sr.codedict import codes

    def work() -> None:
        files = sorted((folder / "images").iterdir())
        images = [dcmread(file, stop_before_pixels=True) for file in files]
        labels = np.load(folder / "labels.npy")
        descriptions = [
            SegmentDescription(n, f"Structure {n}", codes.SCT.Organ, codes.SCT.Liver, "MANUAL")
            for n in range(1, int(labels.max()) + 1)
        ]
        segmentation = Segmentation(
            images,
            labels,
            kind,
            descriptions,
            series_instance_uid=UID(),
            series_number=100,
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer="m",
            manufacturer_model_name="m",
            software_versions="1",
            device_serial_number="1",
            transfer_syntax_uid=syntax,
        )
        segmentation.save_as(path)

    return work


def upstream(folder: Path, path: Path) -> Work:
    """The official package's own writer, with the labels as its pipeline hands them over."""
    import nibabel
    from totalsegmentator.dicom_io import save_mask_as_dicomseg

    def work() -> None:
        image = nibabel.load(folder / "labels.nii.gz")
        labels = np.asanyarray(image.dataobj).astype(np.uint8)
        names = {n: f"structure_{n}" for n in range(1, int(labels.max()) + 1)}
        save_mask_as_dicomseg(labels, names, folder / "images", path, image.affine)

    return work


EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
WAYS: dict[str, Callable[[Path, Path], Work]] = {
    "ours": ours,
    "ours-deflate": lambda folder, path: ours(folder, path, deflate=True),
    "ours-labelmap": lambda folder, path: ours(folder, path, labelmap=True),
    "highdicom": lambda folder, path: highdicom(folder, path, "BINARY", EXPLICIT),
    "highdicom-labelmap": lambda folder, path: highdicom(folder, path, "LABELMAP", RLE),
    "upstream": upstream,
}


def main(way: str, folder: Path) -> None:
    """Write the file, and how long it took."""
    work = WAYS[way](folder, folder / f"{way}.dcm")
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    (folder / f"{way}.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
