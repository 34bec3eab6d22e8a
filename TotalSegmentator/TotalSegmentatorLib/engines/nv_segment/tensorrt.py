"""The network's encoder in TensorRT, by MONAI's own compiler.

What it compiles depends on the weights, the window and the GPU, and takes minutes: it is kept in a
file for the next time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from monai.networks import trt_compile
from torch import nn

from ...errors import SetupError

_PACKAGES = ("tensorrt", "polygraphy", "onnx")


@dataclass(frozen=True)
class TensorRT:
    """What computes the encoder instead of PyTorch.

    :param window: voxels (x, y, z) of a window.
    :param batch: the most windows that are computed together.
    """

    window: tuple[int, int, int]
    batch: int

    def check(self, device: torch.device) -> None:
        """
        :raises SetupError: ``environment.tensorrt_missing``.
        """
        missing = [name for name in _PACKAGES if find_spec(name) is None]
        if device.type == "cuda" and not missing:
            return
        lack = f"the engine's Python lacks {', '.join(missing)}" if missing else f"this is {device}"
        raise SetupError(
            "environment.tensorrt_missing",
            f"TensorRT needs an NVIDIA GPU and its packages, but {lack}.",
            "Leave the option tensorrt out, or install the packages into the engine's Python.",
        )

    def compile(self, network: nn.Module, sha256: str, device: torch.device) -> None:
        """Let TensorRT compute what takes the most time of a window.

        :param sha256: of the network's weights.
        """
        gpu = torch.cuda.get_device_name(device)
        means = (sha256, self, gpu, torch.__version__, version("tensorrt"))
        name = hashlib.sha256(repr(means).encode()).hexdigest()
        place = Path.home() / ".cache" / "TotalSegmentator" / "tensorrt"
        place.mkdir(parents=True, exist_ok=True)
        trt_compile(
            network,
            str(place / name),
            # Without a fallback, as nobody would be told of it.
            args={"dynamic_batchsize": [1, self.batch, self.batch], "fallback": False},
            submodule="image_encoder.encoder",
        )
