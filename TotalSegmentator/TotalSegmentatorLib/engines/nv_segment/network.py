"""The network: MONAI's VISTA3D, asked with prompts alone, run with less memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from monai.networks.blocks.dynunet_block import UnetResBlock
from monai.networks.nets import VISTA3D, vista3d132
from monai.networks.nets.segresnet_ds import SegResBlock
from torch import nn

from ..convolution import convolve, enlarge
from ..kept import Kept
from ..monai_weights import Checkpoint, fill, open_checkpoint
from ..nnunet.network import NormInPlace
from . import FEATURES
from .tensorrt import TensorRT

_TITLE = "NV-Segment-CTMR"
_FIRST_WEIGHT = "image_encoder.encoder.conv_init.weight"
_HEADS = 8  # of half the features each, in the part that understands points


class Network:
    """The network with its weights.

    :param checkpoint: a network may be narrower than the published one.
    :param device: where it is run.
    :raises InputError: ``input.wrong_model``, ``input.bad_model``.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        features = checkpoint.width(_FIRST_WEIGHT, FEATURES)
        with torch.device("meta"):  # weights of its own would only be made to be thrown away
            module = vista3d132(features if features % _HEADS == 0 else FEATURES)
        fill(module, checkpoint, _TITLE)
        del module.point_head, module.image_encoder.up_layers  # what only points need
        if device.type == "cpu":
            _spare_memory(module)
        self.module: VISTA3D = module.eval().to(device)
        self.device = device
        self.width = features
        self.sha256 = checkpoint.sha256

    @property
    def nbytes(self) -> int:
        """Size of the weights in bytes."""
        return sum(one.numel() * one.element_size() for one in self.module.parameters())

    def features(self, windows: torch.Tensor) -> torch.Tensor:
        """What prompts are compared with, (windows, features, x, y, z).

        No value is held longer than it is needed, unlike in the network's own ``forward``.

        :param windows: (windows, 1, x, y, z).
        """
        skips = self.module.image_encoder.encoder(windows)
        values = skips.pop()
        for level in self.module.image_encoder.up_layers_auto:
            values = level["upsample"](values) + skips.pop()
            values = level["blocks"](values)
        values = level["head"](values)
        for block in self.module.class_head.image_post_mapping:
            values = block(values)
        return values

    def embeddings(self, prompts: Sequence[int]) -> torch.Tensor:
        """What stands for prompts in the comparison, (prompts, features)."""
        head = self.module.class_head
        asked = torch.tensor(prompts, device=self.device)[:, None]
        return head.mlp(head.class_embeddings(asked))[:, 0]


class _Convolution(nn.Module):
    """A convolution that keeps the size, see :func:`~..convolution.convolve`."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result = values.new_empty(len(values), len(self.weight), *values.shape[2:])
        convolve(values, self.weight, self.bias, result)
        return result


class _Enlargement(nn.Module):
    """A transposed convolution, see :func:`~..convolution.enlarge`."""

    def __init__(self, layer: nn.ConvTranspose3d) -> None:
        super().__init__()
        self.weight = layer.weight

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return enlarge(values, self.weight)


class _Norm(NormInPlace):
    """The same for several windows."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        for window in values.split(1):
            super().forward(window)
        return values


def _spare_memory(module: nn.Module) -> None:
    """Compute convolutions in slabs, and let norms of what nobody else has write over it."""
    for part in list(module.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, nn.Conv3d) and layer.stride == (1, 1, 1):
                setattr(part, name, _Convolution(layer))
            if isinstance(layer, nn.ConvTranspose3d):
                setattr(part, name, _Enlargement(layer))
        if isinstance(part, (SegResBlock, UnetResBlock)):
            part.norm2 = _Norm(part.norm2)
        if isinstance(part, UnetResBlock):  # the other's first norm is of the block's input
            part.norm1 = _Norm(part.norm1)


def scores(embeddings: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """How sure the network is of each prompt in each voxel, above 0 where it says yes.

    :param embeddings: (prompts, features).
    :param features: (features, rows, y, z).
    :return: (prompts, rows, y, z).
    """
    return (embeddings @ features.flatten(1)[None])[0].unflatten(1, features.shape[1:])


def load_network(
    path: Path, device: torch.device, kept: Kept, tensorrt: TensorRT | None
) -> Network:
    """The network of a checkpoint; one that was loaded before is used again if the file is the
    same.

    :param tensorrt: what computes the encoder instead of PyTorch, if anything.
    :raises InputError: see :mod:`..monai_weights`.
    """
    state = path.stat()
    key = ("nv_segment", str(device), tensorrt, str(path), state.st_size, state.st_mtime_ns)
    return kept.get(key, lambda: _load(path, device, tensorrt), lambda network: network.nbytes)


def _load(path: Path, device: torch.device, tensorrt: TensorRT | None) -> Network:
    network = Network(open_checkpoint(path), device)
    if tensorrt:
        tensorrt.compile(network.module, network.sha256, device)
    return network
