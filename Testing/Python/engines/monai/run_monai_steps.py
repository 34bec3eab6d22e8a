"""Our steps beside MONAI's own functions; for the engine environment.

python run_monai_steps.py [STEP ...]

Prints one line of JSON: for each step the number of comparisons, and what differs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    Invertd,
    LoadImaged,
    NormalizeIntensityd,
    Orientation,
    Orientationd,
    ScaleIntensityd,
    Spacing,
    Spacingd,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
from made_bundles import make_network

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines import monai_transforms as transforms
from TotalSegmentatorLib.engines.devices import cpu_threads
from TotalSegmentatorLib.engines.monai_bundle import WINDOW
from TotalSegmentatorLib.engines.monai_bundle.network import Network
from TotalSegmentatorLib.engines.monai_bundle.prediction import prepare
from TotalSegmentatorLib.engines.monai_weights import Checkpoint, fill, open_checkpoint
from TotalSegmentatorLib.engines.monai_windows import best_of, place_windows, sweep_windows
from TotalSegmentatorLib.errors import CancelledError, EngineError, SegmentationError
from TotalSegmentatorLib.images import Image, read_image, write_nifti

CPU = torch.device("cpu")
Found = Iterator[tuple[str, bool]]
ROTATED = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
TILTED = np.array([[1, 0, 0], [0, 0.96, -0.28], [0, 0.28, 0.96]])


def grids() -> Iterator[tuple[str, np.ndarray, tuple[int, int, int]]]:
    """Places of voxels (IJK to RAS) and shapes (K, J, I)."""
    for name, axes, spacing, shape in (
        ("plain", np.eye(3), (3.0, 3.0, 3.0), (19, 23, 31)),
        ("at the spacing", np.eye(3), (1.5, 1.5, 1.5), (20, 21, 22)),
        ("left-handed", np.diag([-1.0, 1, 1]), (0.7, 0.7, 5.0), (9, 40, 44)),
        ("to the left and front", np.diag([-1.0, -1, 1]), (1.0, 1.1, 2.0), (21, 30, 40)),
        ("oblique", ROTATED @ TILTED, (0.81, 0.9, 2.5), (15, 41, 37)),
        ("oblique and turned", ROTATED @ np.eye(3)[:, [2, 0, 1]], (2.5, 0.8, 0.8), (40, 33, 14)),
        ("three slices", np.eye(3), (2.0, 2.0, 0.4), (3, 25, 26)),
    ):
        matrix = np.eye(4)
        matrix[:3, :3] = axes * spacing
        matrix[:3, 3] = -57.3, 11.25, 431.7
        yield name, matrix, shape


def images() -> Iterator[tuple[str, Image]]:
    noise = np.random.default_rng(5)
    for name, matrix, shape in grids():
        voxels = noise.normal(0, 400, shape).astype(np.int16)
        voxels[:, ::3] = 0
        yield name, Image(voxels, matrix)


def resampling() -> Found:
    """Forward, and labels of every size back again."""
    for name, image in images():
        for spacing in (1.5, 3.0):
            volume = transforms.read(image, CPU)
            space = Spacing([spacing] * 3, mode="bilinear")
            wanted, found = space(volume), transforms.respaced(volume, spacing)
            same = torch.equal(wanted.as_tensor(), found.as_tensor())
            yield f"{name} {spacing}", same and torch.equal(wanted.affine, found.affine)
            labels = torch.randint(0, 2**16 - 1, wanted.shape[1:], dtype=torch.int32)
            marked = MetaTensor(labels[None].float(), wanted.affine)
            marked.applied_operations = [dict(one) for one in wanted.applied_operations]
            marked.applied_operations[-1]["extra_info"]["mode"] = "nearest"
            back = space.inverse(marked).as_tensor()[0]
            ours = transforms.labels_on(
                labels, transforms.grid_of(found), transforms.grid_of(volume)
            )
            yield f"{name} {spacing} back", torch.equal(back, ours.float())
    large = torch.tensor([2**24 + 1, 2**30 + 3], dtype=torch.int32).reshape(1, 1, 2)
    ends = (
        transforms.Grid((1, 1, 2), np.eye(4)),
        transforms.Grid((1, 1, 4), np.diag([1, 1, 0.5, 1])),
    )
    found = transforms.labels_on(large, *ends)
    yield "large labels", set(found.flatten().tolist()) == set(large.flatten().tolist())


def slabs() -> Found:
    """A grid with more points than are sampled at once."""
    matrix = np.diag([1.9, 1.7, 1.3, 1])
    voxels = np.random.default_rng(3).normal(0, 1, (64, 70, 90)).astype(np.float32)
    volume = transforms.read(Image(voxels, matrix), CPU)
    wanted = Spacing([1.0] * 3, mode="bilinear")(volume)
    found = transforms.respaced(volume, 1.0)
    yield f"{wanted.numel()} voxels", torch.equal(wanted.as_tensor(), found.as_tensor())


def turning() -> Found:
    for name, image in images():
        volume = transforms.read(image, CPU)
        turn = Orientation("RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))
        wanted, found = turn(volume), transforms.to_ras(volume)
        yield name, torch.equal(wanted.as_tensor(), found.as_tensor())
        grids_of = transforms.grid_of(found), transforms.grid_of(volume)
        back = transforms.from_ras(found.as_tensor()[0], *grids_of)
        yield f"{name} back", torch.equal(back, volume.as_tensor()[0])
        placed = transforms.put_back(back.to(torch.int16), image)
        yield f"{name} image", np.array_equal(placed.array, image.array)


def preparing() -> Found:
    """The whole of the preprocessing, as a process that loads data does it: with one thread."""
    steps = Compose(
        [
            LoadImaged("image"),
            EnsureTyped("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS"),
            Spacingd("image", pixdim=[1.5] * 3, mode="bilinear"),
            NormalizeIntensityd("image", nonzero=True),
            ScaleIntensityd("image", minv=-1.0, maxv=1.0),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, image in images():
            path = Path(folder) / "image.nii"
            write_nifti(image, path)
            before = torch.get_num_threads()
            torch.set_num_threads(1)
            official = steps({"image": str(path)})["image"]
            torch.set_num_threads(before)
            for threads in (0, 2):  # a run with threads of its own choice changes nothing
                with cpu_threads(threads):
                    ours = prepare(read_image(path)[0], 1.5, CPU)
                same = torch.equal(official.as_tensor()[0], ours.volume)
                yield f"{name}, threads {threads}", same


def one_thread() -> Found:
    with cpu_threads(2):
        with transforms.one_thread():
            yield "in the block", torch.get_num_threads() == 1
        yield "after it", torch.get_num_threads() == 2


def inverting() -> Found:
    """Labels of a prepared image, as the bundle brings them back."""
    steps = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS"),
            Spacingd("image", pixdim=[3.0] * 3, mode="bilinear"),
        ]
    )
    back = Invertd("pred", transform=steps, orig_keys="image", nearest_interp=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, image in images():
            path = Path(folder) / "image.nii"
            write_nifti(image, path)
            data = steps({"image": str(path)})
            labels = torch.randint(0, 105, data["image"].shape[1:], dtype=torch.uint8)
            data["pred"] = MetaTensor(labels[None].float())
            official = back(data)["pred"].as_tensor()[0]
            read = read_image(path)[0]
            volume = transforms.read(read, CPU)
            turned = transforms.to_ras(volume)
            spaced = transforms.respaced(turned, 3.0)
            original, ras, present = map(transforms.grid_of, (volume, turned, spaced))
            onto = transforms.labels_on(labels, present, ras)
            ours = transforms.from_ras(onto, ras, original)
            yield name, torch.equal(official, ours.float())


def windows() -> Found:
    """Sums and quotients, with and without padding, of a network with five channels."""
    torch.manual_seed(2)
    network = torch.nn.Conv3d(1, 5, 3, padding=1)
    for shape in ((40, 41, 42), (20, 50, 33), (10, 12, 14), (33, 32, 70), (64, 32, 32)):
        for overlap in (0.0, 0.25, 0.7):
            for batch in (1, 3):
                yield _window_case(network, shape, overlap, batch)


def _window_case(
    network: torch.nn.Module, shape: tuple[int, int, int], overlap: float, batch: int
) -> tuple[str, bool]:
    roi = (32, 32, 32)
    volume = torch.randn(shape)
    inferer = SlidingWindowInferer(
        roi, batch, overlap, mode="gaussian", padding_mode="replicate", device="cpu"
    )
    placed = place_windows(shape, roi, overlap)
    found = torch.full((5, *shape), torch.nan)
    seen = []

    def predict(group: torch.Tensor) -> Iterator[list[tuple[int, torch.Tensor]]]:
        for scores in network(group):
            inner = scores[(slice(None), *placed.inner)]
            middle = inner.shape[1] // 2
            yield [(0, inner[:, :middle]), (middle, inner[:, middle:])]

    def take(row: int, scores: torch.Tensor) -> None:
        found[:, row : row + scores.shape[1]] = scores

    def tell(done: int, count: int) -> None:
        seen.append((done, count))

    with torch.inference_mode():
        wanted = inferer(volume[None, None], network)[0]
        sweep_windows(volume, placed, 5, predict, take, tell, batch)
    count = len(placed.starts)
    told = seen == [(number + 1, count) for number in range(count)]
    return f"{shape} {overlap} {batch}", told and torch.equal(wanted, found)


def layers() -> Found:
    """A network layer by layer, and parts of its scores, beside its own ``forward``."""
    task = catalog.task("wholebody_ct")
    part = slice(0, 96), slice(0, 96), slice(33, 63)
    for features, threads in ((8, 1), (8, 3), (32, 2)):
        torch.set_num_threads(threads)
        torch.manual_seed(features)
        module = make_network(task, features).eval()
        network = Network(Checkpoint("made", module.state_dict(), ""), 105, CPU)
        window = torch.rand(1, 1, *WINDOW) * 2 - 1
        told: list[float] = []
        network.on_block = told.append
        with torch.inference_mode():
            wanted = module(window)[0]
            values = network.features(window)
            for place in (part, (slice(10, 80), slice(5, 90), slice(0, 96))):
                found = torch.cat([s for _, s in network.scores(values, place)], 1)
                same = torch.equal(wanted[(slice(None), *place)], found)
                yield f"{features} {threads} {place}", same
        yield f"{features} told", told[0] == 0 and told == sorted(told) and 0.7 < told[-1] < 1


def cancelling() -> Found:
    """Within a window."""
    module = make_network(catalog.task("wholebody_ct"), 8)
    network = Network(Checkpoint("made", module.state_dict(), ""), 105, CPU)

    def stop(share: float) -> None:
        if share > 0.5:
            raise CancelledError()

    network.on_block = stop
    try:
        with torch.inference_mode():
            network.features(torch.zeros(1, 1, *WINDOW))
        yield "cancelled", False
    except CancelledError:
        yield "cancelled", True


def no_numbers() -> Found:
    """They are never taken for the background."""
    scores = torch.rand(5, 2, 3, 4)
    scores[2, 1, 1, 1] = torch.nan
    try:
        best_of(torch.softmax(scores, 0))
        yield "refused", False
    except EngineError as error:
        yield "refused", error.code == "engine.bad_scores"


def weights() -> Found:
    """Every form of a checkpoint, and what is none of this network."""
    task = catalog.task("wholebody_ct")
    torch.manual_seed(1)
    good = make_network(task, 8).state_dict()
    name = next(iter(good))
    broken = {**good, name: torch.full_like(good[name], torch.nan)}
    parallel = {f"module.{key}": value for key, value in good.items()}
    without = {key: value for key, value in good.items() if key != name}
    for what, content, wanted in (
        ("plain", good, ""),
        ("model", {"model": good, "epoch": 3}, ""),
        ("state_dict", {"state_dict": good}, ""),
        ("several GPUs", {"model": parallel}, ""),
        ("half precision", {key: value.half() for key, value in good.items()}, ""),
        ("one missing", without, "input.wrong_model"),
        ("one more", {**good, "another": torch.zeros(1)}, "input.wrong_model"),
        ("a wider network", make_network(task, 16).state_dict(), ""),
        ("another size", {**good, name: torch.zeros(8, 2, 3, 3, 3)}, "input.wrong_model"),
        ("another network", torch.nn.Linear(3, 4).state_dict(), "input.wrong_model"),
        ("a width that is none", {**good, name: torch.zeros(9, 1, 3, 3, 3)}, "input.wrong_model"),
        ("no width", {**good, name: torch.zeros(0, 1, 3, 3, 3)}, "input.wrong_model"),
        ("no numbers", broken, "input.bad_model"),
        ("no weights", {"model": 3}, "input.bad_model"),
        ("a list", [1, 2], "input.bad_model"),
        ("code", {"model": good, "path": Path("x")}, "input.untrusted_model"),
        ("no file of PyTorch", b"not a checkpoint", "input.bad_model"),
    ):
        yield what, _code(content) == wanted


def _code(content: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        try:
            Network(open_checkpoint(path), 105, CPU)
        except SegmentationError as error:
            return error.code
        path.unlink()  # nothing holds on to it
        return ""


def filled() -> Found:
    """Weights reach the network as they are, and keep nothing of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        made = torch.nn.Linear(3, 4)
        torch.save(made.state_dict(), path)
        checkpoint = open_checkpoint(path)
        with torch.device("meta"):
            other = torch.nn.Linear(3, 4)
        fill(other, checkpoint, "a layer")
        del checkpoint
        path.write_bytes(bytes(path.stat().st_size))
        yield "weights", torch.equal(made.weight, other.weight)
        yield "device", other.weight.device == CPU and not other.weight.requires_grad


_STEPS = (
    resampling,
    slabs,
    turning,
    preparing,
    one_thread,
    inverting,
    windows,
    layers,
    cancelling,
    no_numbers,
    weights,
    filled,
)
answer = {}
for step in _STEPS:
    if not sys.argv[1:] or step.__name__ in sys.argv[1:]:
        rows = list(step())
        answer[step.__name__] = [len(rows), [name for name, same in rows if not same]]
print(json.dumps(answer))
