"""The steps that a GPU takes, run on the CPU beside their exact twins, in one process.

python run_on_device.py

Prints one line of JSON.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib.engines import gpu
from TotalSegmentatorLib.engines.nnunet import gpu as nnunet_gpu
from TotalSegmentatorLib.engines.nnunet import on_device, postprocessing, prediction
from TotalSegmentatorLib.engines.nnunet.geometry import Volume
from TotalSegmentatorLib.engines.nnunet.normalisation import normalise
from TotalSegmentatorLib.engines.nnunet.plans import Heads, Normalisation, Plans, Resampling

torch.set_num_threads(1)  # the arrays are small
CPU = torch.device("cpu")
CT = {"mean": -50.386, "std": 503.39, "percentile_00_5": -1004.0, "percentile_99_5": 1588.0}
SCHEMES = ("CTNormalization", "ZScoreNormalization", "RescaleTo01Normalization", "NoNormalization")


def a_plan(**changes) -> Plans:
    order = Resampling(3, 0, None)
    values = {
        "patch": (24, 32, 16),
        "spacing": (1.5, 1.5, 1.5),
        "forward": (0, 1, 2),
        "backward": (0, 1, 2),
        "reorients": True,
        "normalisation": Normalisation("CTNormalization", False, CT),
        "data": order,
        "logits": order,
        "heads": Heads(25, (), False),
        "network": "PlainConvUNet",
        "arguments": {"features_per_stage": [32, 64]},
        "classes": (),
    }
    return Plans(**{**values, **changes})


def zoomed() -> dict:
    """Voxels that differ from scipy's, for images of several types, sizes and strides."""
    random = np.random.default_rng(0)
    cases = {}
    for number in range(60):
        old, new = random.integers(1, 60, (2, 3))
        image = random.integers(-1024, 2000, old).astype(("i2", "u2", "i4", "f4", "f8")[number % 5])
        image = (image, np.asfortranarray(image), image[::-1])[number % 3]
        cases[f"{number}: {image.dtype} {old} -> {new}"] = _differing(image, new)
    # Halves lie between two voxels, where a fraction is cut off or not by the last bit.
    image = random.integers(-1024, 2000, (61, 81, 41)).astype(np.int16)
    cases["halves"] = _differing(image, (121, 41, 81))
    tenths = (101, 101, 26)
    cases["tenths"] = _differing(image, tenths)
    double, on_device._real = on_device._real, lambda device: torch.float32
    found = on_device.zoom_linear(torch.from_numpy(image), tenths).numpy()
    on_device._real = double
    off = np.abs(found - _scipy(image, tenths))
    given = [np.zeros(3, one) for one in ("u2", "i2", "f8")]
    return {
        "differing": cases,
        "types": {one.dtype.str[1:]: str(on_device.to_device(one, CPU).dtype) for one in given},
        "in_single": {"largest": int(off.max()), "share": float(np.mean(off))},
    }


def _scipy(image: np.ndarray, shape: np.ndarray) -> np.ndarray:
    factors = np.array(shape) / image.shape
    return ndimage.zoom(image.astype(float), factors, order=1, mode="nearest").astype(np.int32)


def _differing(image: np.ndarray, shape: np.ndarray) -> int:
    found = on_device.zoom_linear(on_device.to_device(image, CPU), [int(n) for n in shape])
    return int((found.numpy() != _scipy(image, shape)).sum())


def normalised() -> dict:
    """The largest difference to the exact way."""
    image = np.random.default_rng(1).normal(0, 600, (30, 40, 50)).astype(np.float32)
    inside = image > -300
    largest = {}
    for scheme, use_mask in itertools.product(SCHEMES, (False, True)):
        how = Normalisation(scheme, use_mask, CT)
        exact, found = image.copy(), torch.from_numpy(image.copy())
        normalise(exact, how, inside)
        on_device.normalise(found, how, torch.from_numpy(inside))
        largest[f"{scheme} {use_mask}"] = float(np.abs(found.numpy() - exact).max())
    return largest


def prepared() -> dict:
    """The same of all that comes before the network."""
    head = np.random.default_rng(2).normal(300, 100, (37, 29, 33)).astype(np.int16)
    head[:4], head[:, -3:], head[10:15, 8:12, 9:14] = 0, 0, 0
    flipped = np.array([[-1.5, 0, 0, 9], [0, 0, 1.5, 5], [0, 1.5, 0, -7], [0, 0, 0, 1]])
    straight = np.diag([1.5, 1.5, 1.5, 1])
    masked = Normalisation("ZScoreNormalization", True, CT)
    cases = {
        "plain": (straight, a_plan()),
        "fractions": (straight, a_plan()),
        "turned": (flipped, a_plan()),
        "as it is": (flipped, a_plan(reorients=False)),
        "other order of axes": (straight, a_plan(forward=(1, 2, 0), backward=(2, 0, 1))),
        "inside of the head": (straight, a_plan(normalisation=masked)),
        "other spacing": (straight, a_plan(spacing=(3.0, 1.2, 1.5))),
        "larger window": (straight, a_plan(patch=(64, 45, 32))),
    }
    arrays = {"fractions": head.astype(np.float32), "air": np.zeros_like(head)}
    cases["air"] = cases["plain"]
    return {
        name: _preparations(Volume(arrays.get(name, head).T, affine), plans)
        for name, (affine, plans) in cases.items()
    }


def _preparations(volume: Volume, plans: Plans) -> dict:
    before = volume.array.copy()
    exact = prediction.prepare(volume, plans)
    found = on_device.prepare(volume, plans, CPU)
    names = ("inner", "box", "shape", "spacing")
    return {
        "same": all(getattr(exact, name) == getattr(found, name) for name in names),
        "unchanged": bool((volume.array == before).all()),
        "largest": float((exact.windows_in - found.windows_in).abs().max()),
    }


def masks() -> Iterator[tuple[str, np.ndarray]]:
    """Masks that are hard for something that finds connected voxels."""
    random = np.random.default_rng(3)
    for share in (0.05, 0.25, 0.3116, 0.34, 0.5, 0.95):  # an infinite cluster begins at 0.3116
        yield f"{share} of all", random.random((40, 31, 50)) < share
    yield "nothing", np.zeros((5, 6, 7), bool)
    yield "everything", np.ones((5, 6, 7), bool)
    yield "flat", random.random((1, 40, 1)) < 0.5
    yield "checkerboard", np.indices((9, 8, 7)).sum(0) % 2 == 0
    spiral = np.zeros((3, 41, 41), bool)
    for ring in range(0, 20, 2):
        spiral[1, ring : 41 - ring, ring : 41 - ring] = True
        spiral[1, ring + 1 : 40 - ring, ring + 1 : 40 - ring] = False
        spiral[1, ring + 1, ring], spiral[1, ring + 2, ring : ring + 2] = False, True
    yield "spiral", spiral
    snake = np.zeros((30, 31, 31), bool)
    snake[::2, ::2] = True
    snake[::2, 1::4, -1], snake[::2, 3::4, 0] = True, True
    snake[1::4, -1, -1], snake[3::4, 0, 0] = True, True
    yield "snake", snake
    yield "snake from behind", np.ascontiguousarray(snake[::-1, ::-1, ::-1])


def pieces() -> dict:
    """Voxels whose piece has another number than scipy's, and voxels that only one way fills."""
    differing, holes, counts = {}, {}, {}
    for name, mask in masks():
        expected, counts[name] = ndimage.label(mask)
        tensor = torch.from_numpy(mask)
        differing[name] = int((on_device.find_pieces(tensor).numpy() != expected).sum())
        filled = on_device.fill_holes(tensor).numpy()
        holes[name] = int((filled != ndimage.binary_fill_holes(mask)).sum())
    return {"differing": differing, "holes": holes, "counts": counts}


def cleaned() -> dict:
    """Voxels that differ after post-processing, and how many it changes."""
    random = np.random.default_rng(4)
    blobs = ndimage.zoom(random.random((12, 12, 12)), 4, order=1)
    labels = np.digitize(blobs, (0.4, 0.5, 0.6, 0.7)).astype(np.uint8)
    twins = np.zeros((9, 9, 9), np.uint8)
    twins[1:3, 4:8, 2:4], twins[4:8, 1:3, 5:7], twins[6, 6, 6] = 1, 1, 1
    full = np.maximum(labels, 1)
    cases = {}
    for layout, value in itertools.product("CF", (1, 2, 3, 4, 9)):
        image = np.array(labels, order=layout)
        for what, arguments in (
            ("keep_largest", (value,)),
            ("remove_small", ([value], 20.0)),
            ("remove_small", ([1, 2, 4], 6.5 * value)),
        ):
            cases[f"{layout} {what} {arguments}"] = _cleaned(image, what, *arguments)
    cases["equal pieces"] = _cleaned(twins, "keep_largest", 1)
    cases["all are small"] = _cleaned(full, "remove_small", [2], 1e6)
    return cases


def _cleaned(labels: np.ndarray, what: str, *arguments) -> list[int]:
    exact, found = labels.copy("K"), torch.from_numpy(labels.copy("K"))
    getattr(postprocessing, what)(exact, *arguments, CPU)
    getattr(on_device, what)(found, *arguments)
    return [int((found.numpy() != exact).sum()), int((exact != labels).sum())]


def fitting() -> dict:
    """What is computed at once, and what follows when memory runs out."""
    plans, shape = a_plan(patch=(128, 128, 128)), (300, 300, 300)
    at_once = [nnunet_gpu.windows_at_once(gib << 30, plans, shape) for gib in (0, 3, 4, 8, 24)]
    cuda = torch.device("cuda")
    ways = [gpu.Way(4, cuda), gpu.Way(1, cuda), gpu.Way(1, CPU)]
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return {
        "at_once": at_once,
        "cpu": [(way.windows, str(way.sums_on)) for way in nnunet_gpu.ways(CPU, plans, shape)],
        "tried": {
            "no memory for sums": _tried(ways, [full, full, None]),
            "enough": _tried(ways, [None]),
            "never enough": _tried(ways, [full, full, full]),
            "another error": _tried(ways, [full, RuntimeError("shapes differ")]),
        },
        "algorithms": _algorithms(),
    }


def _tried(ways: list, outcomes: list) -> list:
    left = iter(outcomes)
    tried = []

    def compute(way: gpu.Way) -> str:
        tried.append([way.windows, way.sums_on.type])
        outcome = next(left)
        if outcome:
            raise outcome
        return "done"

    try:
        return [tried, gpu.first_that_fits(ways, compute)]
    except RuntimeError as error:
        return [tried, gpu.classify(error).code]


def _algorithms() -> dict:
    seen = {}
    for name in ("cpu", "cuda"):
        with gpu.half_precision(torch.device(name)):
            seen[name] = torch.backends.cudnn.benchmark
    return {**seen, "after": torch.backends.cudnn.benchmark}


answer = {one.__name__: one() for one in (zoomed, normalised, prepared, pieces, cleaned, fitting)}
print(json.dumps(answer))
