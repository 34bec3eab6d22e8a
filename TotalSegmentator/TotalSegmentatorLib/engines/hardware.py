"""What PyTorch can compute on here, as one JSON line on standard output.

Started as ``python -m TotalSegmentatorLib.engines.hardware``: the application itself must never
import torch.
"""

from __future__ import annotations

import json
from typing import Any

import torch


def facts() -> dict[str, Any]:
    """PyTorch, what it was built for, and the GPUs that it can use; memory in bytes."""
    return {
        "torch": torch.__version__,
        "built_for": _built_for(),
        "architectures": torch.cuda.get_arch_list(),
        "gpus": _cuda(),
        "mps": _mps(),
    }


def _built_for() -> str:
    """The platform of GPUs that this PyTorch was built for; empty for none, and for Apple's."""
    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else ""


def _cuda() -> list[dict[str, Any]]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [_cuda_device(index) for index in range(count)]


def _cuda_device(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    try:
        free, _ = torch.cuda.mem_get_info(index)
    except RuntimeError:  # another process has it to itself, or its memory is full
        free = 0
    return {
        "title": properties.name,
        "total_bytes": properties.total_memory,
        "free_bytes": free,
        "compute_capability": "" if torch.version.hip else f"{properties.major}.{properties.minor}",
    }


def _mps() -> dict[str, Any] | None:
    """The Apple GPU, which shares the computer's memory."""
    if not torch.backends.mps.is_available():
        return None
    return {"total_bytes": torch.mps.recommended_max_memory()}


if __name__ == "__main__":
    print(json.dumps(facts()))
