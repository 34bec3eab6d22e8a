"""How a network is run on a GPU: precision, and what follows when its memory ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from .failures import classify

T = TypeVar("T")


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
    """On CUDA what nnU-Net's predictor and MONAI's bundles set: half precision and the fastest
    algorithms."""
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


def unused_bytes(device: torch.device) -> int:
    """What a CUDA device has left, and what PyTorch holds of it without need."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


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
