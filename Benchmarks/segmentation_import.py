"""How long it takes to put 117 labels into a segmentation node, and how much memory.

Compares the modes of the library's import with the usual one: a labelmap node, Slicer's
ImportLabelmapToSegmentationNode, then a name and a colour for each segment. The modes "append" and
"update" start from a node that has 117 segments, and the earlier content is kept for an undo. Each
way runs in a process of its own on bare slicer-core (extra "headless"), so views are not part of
it.

    python Benchmarks/segmentation_import.py --json import.json
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from parts import ways

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "TotalSegmentator"))

STRUCTURES = 117
UPDATED = 58
METHODS = {
    "replace": "`import_layers`, all segments replaced",
    "append": f"`import_layers`, {STRUCTURES} segments appended to {STRUCTURES}",
    "update": f"`import_layers`, {UPDATED} of {STRUCTURES} segments updated",
    "usual": "`ImportLabelmapToSegmentationNode`, then names and colours",
}


def make_labels(size: tuple[int, int, int]) -> np.ndarray:
    """117 boxes in a 5 x 5 x 5 pattern that fill about a half, (K, J, I) uint8."""
    ni, nj, nk = size
    labels = np.zeros((nk, nj, ni), np.uint8)
    places = np.ndindex(5, 5, 5)
    for label, (k, j, i) in zip(range(1, STRUCTURES + 1), places, strict=False):
        labels[_part(k, nk), _part(j, nj), _part(i, ni)] = label
    return labels


def _part(index: int, size: int) -> slice:
    return slice(int((index + 0.12) * size / 5), int((index + 0.88) * size / 5))


class PeakMemory:
    """The largest resident memory of this process while the block runs, in MB above its start.

    Reads Linux's /proc; elsewhere it stays 0.
    """

    def __enter__(self) -> PeakMemory:
        self._start = self._peak = _resident_mb()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._peak = max(self._peak, _resident_mb())

    @property
    def extra_mb(self) -> float:
        return self._peak - self._start

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self._peak = max(self._peak, _resident_mb())


def _resident_mb() -> float:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    return next(int(row.split()[1]) for row in status.splitlines() if "VmRSS" in row) / 1024


def measure(method: str, size: tuple[int, int, int]) -> dict[str, Any]:
    """Run one way in this process: seconds and extra MB."""
    from TotalSegmentatorLib import catalog
    from TotalSegmentatorLib.images import Image, Layer, SegmentRecord
    from TotalSegmentatorLib.scene import image_to_volume, import_layers, take_snapshot
    from TotalSegmentatorLib.scene.headless import HeadlessApplication

    found = [catalog.structure(name) for name in catalog.task("total").labels.values()]
    records = tuple(
        SegmentRecord(s.id, s.name, label, s.color, s.terminology_entry())
        for label, s in enumerate(found[:STRUCTURES], 1)
    )
    application = HeadlessApplication()
    grid = np.diag([-0.8, -0.8, 1.0, 1.0])
    volume = application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    image_to_volume(Image(np.zeros(size[::-1], np.int16), grid), volume)
    node = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    if method in ("append", "update"):
        import_layers([Layer(Image(make_labels(size), grid), records)], node, volume)
    snapshot = take_snapshot(node)
    if method == "update":
        records = records[:UPDATED]
    labels = Image(make_labels(size), grid)
    with PeakMemory() as memory:
        start = time.perf_counter()
        if method == "usual":
            _usual(application, labels, records, node, volume)
        else:
            import_layers([Layer(labels, records)], node, volume, method)
        seconds = time.perf_counter() - start
    count = node.GetSegmentation().GetNumberOfSegments()
    expected = 2 * STRUCTURES if method == "append" else STRUCTURES
    if count != expected:
        raise RuntimeError(f"{method}: {count} segments instead of {expected}")
    del snapshot  # kept until here, as for an undo
    return {"method": method, "seconds": seconds, "extra_mb": memory.extra_mb}


def _usual(application: Any, labels: Any, records: Any, node: Any, volume: Any) -> None:
    from TotalSegmentatorLib.scene import image_to_volume

    labelmap = application.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    image_to_volume(labels, labelmap)
    application.segmentations.ImportLabelmapToSegmentationNode(labelmap, node)
    application.scene.RemoveNode(labelmap)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.CreateDefaultDisplayNodes()
    for number, record in enumerate(records):
        segment = node.GetSegmentation().GetNthSegment(number)
        segment.SetName(record.name)
        segment.SetColor(*(value / 255 for value in record.color))
        segment.SetTerminology(record.terminology)


def table(results: list[dict[str, Any]], size: tuple[int, int, int]) -> str:
    """The results as Markdown."""
    rows = [
        f"117 structures, {' x '.join(map(str, size))} voxels, bare slicer-core:",
        "",
        "| way | seconds (median) | extra memory (MB) |",
        "|---|---:|---:|",
    ]
    for method, label in METHODS.items():
        runs = [result for result in results if result["method"] == method]
        seconds = float(np.median([run["seconds"] for run in runs]))
        memory = max(run["extra_mb"] for run in runs)
        rows.append(f"| {label} | {seconds:.3g} | {memory:.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    ways.main(__file__, __doc__, METHODS, measure, table, repeats=3)
