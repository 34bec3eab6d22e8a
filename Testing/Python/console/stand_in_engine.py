"""An engine process that needs no weights: every structure gets a slab of the image.

The first structure of the task, or of those that were asked for, is at the feet. It starts quickly,
since it imports neither numpy nor SimpleITK.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from array import array
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog

_HEADER_BYTES = 352
_UINT16 = 512  # NIfTI's number for it


def tell(event: str, **values: object) -> None:
    print(json.dumps({"v": 1, "event": event, **values}), flush=True)


def write_slabs(image: Path, labels: Path, count: int) -> None:
    """Write labels 1 to *count* with the header of an uncompressed NIfTI file."""
    with open(image, "rb") as file:
        header = bytearray(file.read(_HEADER_BYTES))
    i, j, k = struct.unpack_from("<3h", header, 42)
    struct.pack_into("<2h", header, 70, _UINT16, 16)
    struct.pack_into("<3f", header, 108, _HEADER_BYTES, 1.0, 0.0)
    size = i * j * k
    ends = [size * number // count for number in range(count + 1)]
    with open(labels, "wb") as file:
        file.write(header)
        for value in range(1, count + 1):
            (array("H", [value]) * (ends[value] - ends[value - 1])).tofile(file)


def run(command: Mapping[str, object]) -> None:
    """Answer one command."""
    tell("started", pid=os.getpid())
    tell("stage", text="Running the network")
    request = command["request"]
    task = request["task"]
    found = request["structures"] or catalog.task(task).labels.values()
    names = dict(enumerate(found, 1))
    write_slabs(Path(command["image"]), Path(command["labels"]), len(names))
    provenance = {"engine": "stand-in", "device": "cpu", "demo": task == "demo"}
    result = {"labels": command["labels"], "label_names": names, "provenance": provenance}
    tell("result", result={**result, "timings_s": {"running_the_network": 0.1}})


def main() -> None:
    """Take commands until the application is gone."""
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "run":
            run(command)


main()
