"""An engine process for tests: bright voxels are the trunk, the brightest ones the extremities.

Without structures, or if they are asked for, it also gives the body and the skin.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib.images import Image, read_image, write_labelmap
from TotalSegmentatorLib.jobs import DerivedLabels, EngineResult, Finished, Request, Started
from TotalSegmentatorLib.jobs.events import to_line

NAMES = {1: "body_trunc", 2: "body_extremities"}
DERIVED = {3: "body", 4: "skin"}


def segment(image: Image, path: Path, request: Request) -> EngineResult:
    def asked(names: dict[int, str]) -> dict[int, str]:
        wanted = request.structures
        return {value: name for value, name in names.items() if not wanted or name in wanted}

    labels = (image.array > 100).astype("uint8") + (image.array > 300)
    derived = []
    for value, name in asked(DERIVED).items():
        place = path.with_name(f"{path.stem}-{name}.nii")
        mask = labels > 0 if name == "body" else labels == 2
        write_labelmap(image.with_array(mask * value), place, {value: name})
        derived.append(DerivedLabels(place, {value: name}, beneath=name == "body"))
    for value in NAMES.keys() - asked(NAMES).keys():
        labels[labels == value] = 0
    write_labelmap(image.with_array(labels), path, NAMES)
    return EngineResult(path, asked(NAMES), {"demo": False}, {}, tuple(derived))


for line in sys.stdin:
    command = json.loads(line)
    if command["command"] == "run":
        print(to_line(Started(os.getpid())), flush=True)
        image, _ = read_image(command["image"])
        request = Request.from_dict(command["request"])
        result = segment(image, Path(command["labels"]), request)
        print(to_line(Finished(result.to_dict())), flush=True)
