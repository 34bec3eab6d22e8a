"""The computing device of a run. Imports torch: for the engine process only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import SetupError
from .contract import DEVICE_PATTERN


def choose_device(name: str) -> torch.device:
    """The device that ``auto``, ``cpu``, ``gpu``, ``gpu:N`` or ``mps`` means on this computer.

    A device that was named but is not there is an error: a run on the CPU instead would take many
    times longer without a word.

    :raises SetupError: ``gpu.not_found``.
    """
    if name == "auto":
        return _best()
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if torch.backends.mps.is_available():
            return torch.device("mps")
        raise _not_found("An Apple GPU", 0)
    found = re.fullmatch(DEVICE_PATTERN, name)
    index = int((found and found[1]) or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index < count:
        return torch.device("cuda", index)
    raise _not_found(f"GPU {index}" if count else "A GPU", count)


def _best() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _not_found(what: str, count: int) -> SetupError:
    return SetupError(
        "gpu.not_found",
        f"{what} was asked for, but PyTorch {torch.__version__} finds {count} on this computer.",
        "Use the device auto or cpu, or install a driver and a PyTorch that fit the GPU.",
    )


def device_title(device: torch.device) -> str:
    """The device as it stands in reports, e.g. ``cuda:0 (NVIDIA A100)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with so many CPU threads, whatever a library sets in the block.

    nnU-Net and the official package set numbers of their own before each network.

    :param count: 0 leaves the number to them.
    """
    if not count:
        yield
        return
    before, set_threads = torch.get_num_threads(), torch.set_num_threads
    set_threads(count)
    torch.set_num_threads = lambda _: None
    try:
        yield
    finally:  # this process serves further runs
        torch.set_num_threads = set_threads
        set_threads(before)
