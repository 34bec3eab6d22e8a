"""How a network is run on a GPU: precision, windows at once, and what follows when memory ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from ..failures import classify
from .plans import Plans
from .windows import half_precision_bytes

T = TypeVar("T")

_HALF_BYTES = 2
# More windows at once hardly keep a GPU busier, and a cancelled run would take longer to stop.
_MOST_WINDOWS = 4
# Of the free memory; cuDNN tries algorithms that want memory of their own.
_SHARE = 0.5


@dataclass(frozen=True)
class Way:
    """How a network is run on a device.

    :param windows: computed at once.
    :param sums_on: where the scores of overlapping windows are added.
    """

    windows: int
    sums_on: torch.device


@contextmanager
def half_precision(device: torch.device) -> Iterator[None]:
    """On CUDA what nnU-Net's predictor sets: half precision and the fastest algorithms."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with torch.autocast("cuda"):
            yield
    finally:  # this process serves further runs
        torch.backends.cudnn.benchmark = before


def ways(device: torch.device, plans: Plans, shape: Sequence[int]) -> tuple[Way, ...]:
    """The ways to run a network, the fastest first; each needs less of a GPU's memory.

    :param shape: of the padded volume (z, y, x).
    """
    if device.type == "cpu":
        return (Way(1, device),)
    several = windows_at_once(_free_bytes(device), plans, shape) if device.type == "cuda" else 1
    found = [Way(1, device), Way(1, torch.device("cpu"))]
    return (Way(several, device), *found) if several > 1 else tuple(found)


def _free_bytes(device: torch.device) -> int:
    """What the device has left, and what PyTorch holds of it without need."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


def windows_at_once(free_bytes: int, plans: Plans, shape: Sequence[int]) -> int:
    """How many windows fit into a GPU's memory together.

    The sums of their scores need 2 (C + 1) bytes for each voxel of as many rows as a window has,
    with C channels of scores.

    :param shape: of the padded volume (z, y, x).
    """
    held = plans.patch[0] * shape[1] * shape[2]
    sums = _HALF_BYTES * (plans.heads.count + 1) * held
    fitting = int(free_bytes * _SHARE - sums) // window_bytes(plans)
    return max(1, min(_MOST_WINDOWS, fitting))


def window_bytes(plans: Plans) -> int:
    """See :func:`~.windows.half_precision_bytes`."""
    features = plans.arguments["features_per_stage"][0]
    return half_precision_bytes(math.prod(plans.patch), features, plans.heads.count)


def first_that_fits(ways: Sequence[Way], compute: Callable[[Way], T]) -> T:
    """What ``compute`` gives for the first way for which the GPU's memory suffices.

    :raises RuntimeError: PyTorch's, if it does not suffice for the last one either.
    """
    for way in ways[:-1]:
        try:
            return compute(way)
        except RuntimeError as error:
            if classify(error).code != "gpu.out_of_memory":
                raise
        # After the block: until then the error holds on to what was computed.
        getattr(torch, way.sums_on.type).empty_cache()
    return compute(ways[-1])
