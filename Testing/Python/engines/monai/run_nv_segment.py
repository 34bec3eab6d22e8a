"""The engine nv_segment, run as the worker does, for several images in one process.

python run_nv_segment.py ORDERS

ORDERS is a JSON file: {"weights": {name: path}, "runs": {name: {"image", "labels", "task",
"structures", "options"}}}. Weights that are not there yet are made, each name another fault. A
window may have any size here, for speed. Prints one line of JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from monai.networks.nets import vista3d132

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.contract import RUNS_AT_ONCE, Reporter, Run
from TotalSegmentatorLib.engines.gpu import Way
from TotalSegmentatorLib.engines.kept import Kept
from TotalSegmentatorLib.engines.monai_weights import Checkpoint
from TotalSegmentatorLib.engines.monai_windows import place_windows
from TotalSegmentatorLib.engines.nv_segment import SPEC, engine, prediction, structures
from TotalSegmentatorLib.engines.nv_segment.network import Network
from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.jobs import JobContext, Request

CPU = torch.device("cpu")
GIB = 1 << 30


def make_weights(path: Path, fault: str) -> None:
    """Random weights of a narrow network, the same every time; 24 MB."""
    torch.manual_seed(0)
    weights = vista3d132(encoder_embed_dim=8).state_dict()
    embeddings = "class_head.class_embeddings.weight"
    if fault == "incomplete":
        del weights[embeddings]
    if fault == "too much":
        weights["one.more"] = torch.zeros(1)
    if fault == "another size":
        weights[embeddings] = weights[embeddings][:133]
    if fault == "no numbers":
        weights[embeddings][7] = torch.nan
    # As trained on several GPUs, and saved by MONAI's handler.
    if fault == "wrapped":
        weights = {"model": {f"module.{name}": one for name, one in weights.items()}}
    torch.save(weights, path)


def run(order: dict, kept: Kept) -> dict:
    """What a run says, or its error."""
    events: list = []
    window = order["options"].pop("window", None)
    options = SPEC.parse_options(order["options"]) | ({"window": window} if window else {})
    names = structures(catalog.task(order["task"]), order["structures"])
    request = Request(order["task"], structures=names, device="cpu", engine=SPEC.name)
    report = Reporter(SPEC, JobContext(events.append))
    labels = Path(order["labels"])
    task = Run(request, Path(order["image"]), labels, report, labels.parent, options, kept)
    try:
        result = engine.run(task)
    except SegmentationError as error:
        return {"error": error.code, "message": str(error), "written": labels.exists()}
    stages = [event.text for event in events if hasattr(event, "text")]
    fractions = [event.fraction for event in events if hasattr(event, "fraction")]
    return {
        "names": dict(result.label_names),
        "about": dict(result.provenance),
        "stages": stages,
        "fractions": fractions,
    }


def best_of_groups() -> list:
    """Voxels at which the best of several groups is another than that of all scores at once; many
    scores are equal, and many below 0."""
    torch.manual_seed(1)
    scores = torch.randint(-3, 4, (7, 6, 5, 4)).float()
    clamped = scores.clamp(min=0)
    prompts = torch.tensor([300, 7, 255, 1, 18, 345, 2], dtype=torch.int16)
    expected = torch.where(clamped.amax(0) > 0, prompts[clamped.argmax(0)], 0)
    differing = []
    for at_once in range(1, 8):
        best = prediction.Best((6, 5, 4), prompts, CPU)
        for group, row in itertools.product(prediction.split(7, at_once), range(0, 6, 4)):
            best.taker(group)(row, scores[group, row : row + 4])
        differing.append(int((best.labels != expected).sum()))
    return differing


def scores_that_are_no_numbers() -> str:
    scores = torch.zeros(2, 3, 4, 5)
    scores[1, 2, 3, 4] = torch.nan
    try:
        prediction.Best((3, 4, 5), torch.tensor([1, 2]).short(), CPU).taker(slice(0, 2))(0, scores)
    except SegmentationError as error:
        return error.code
    return ""


def at_once() -> dict:
    """How many of 117 prompts are asked together on an image of 341 x 341 x 400 voxels."""
    volume = torch.empty((341, 341, 400), device="meta")
    volume = SimpleNamespace(shape=volume.shape, device=CPU)
    windows = place_windows(volume.shape, (192, 192, 128), 0.25)
    found = {}
    for free in (2, 8, 16, 32, 64):
        prediction.memory = lambda free=free: (64 * GIB, free * GIB)
        found[free] = prediction.prompts_at_once(48, windows, volume, Way(1, CPU))
    os.environ[RUNS_AT_ONCE] = "2"
    found["64 for two"] = prediction.prompts_at_once(48, windows, volume, Way(1, CPU))
    return found


def groups() -> dict:
    cases = ((117, 26), (117, 512), (1, 8), (9, 8), (5, 1))
    return {
        f"{count} by {most}": [group.stop - group.start for group in prediction.split(count, most)]
        for count, most in cases
    }


def features_as_of_monai() -> list:
    """Whether layers in slabs give MONAI's own values: the published width, and a batch."""
    equal = []
    for width, shape in ((48, (1, 1, 48, 64, 48)), (16, (2, 1, 32, 48, 32))):
        torch.manual_seed(2)
        module = vista3d132(width).eval()
        windows = torch.rand(shape)
        with torch.inference_mode():
            _, found = module.image_encoder(windows, with_point=False)
            expected = module.class_head.image_post_mapping(found)
            own = Network(Checkpoint("made", module.state_dict(), ""), CPU).features(windows)
        equal.append(torch.equal(expected, own))
    return equal


orders = json.loads(Path(sys.argv[1]).read_text("utf-8"))
for fault, place in orders["weights"].items():
    make_weights(Path(place), fault)
shared = Kept()
answer = {"runs": {name: run(order, shared) for name, order in orders["runs"].items()}}
parts = (best_of_groups, scores_that_are_no_numbers, groups, features_as_of_monai)
answer |= {one.__name__: one() for one in parts}
print(json.dumps(answer | {"at_once": at_once()}))
