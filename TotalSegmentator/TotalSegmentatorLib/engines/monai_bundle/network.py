"""The bundle's network: MONAI's own layers, run with less memory and the same rounding."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from monai.networks.blocks.segresnet_block import ResBlock
from monai.networks.nets import SegResNet
from torch import nn
from torch.nn.functional import group_norm

from ..accumulation import slabs
from ..convolution import convolve
from ..monai_weights import Checkpoint, fill
from . import FEATURES

_TITLE = "MONAI's whole-body CT network"
_DOWN, _UP = (1, 2, 2, 4), (1, 1, 1)
_GROUPS_AT_ONCE = 4  # so that most of them stay where they are
_GROUPS = 8  # of features, that each norm looks at together


class Network:
    """The network with its weights.

    :param checkpoint: a network may be narrower than the published ones, but has all classes.
    :param channels: number of classes, with the background.
    :param device: where it is run.
    :raises InputError: ``input.wrong_model``, ``input.bad_model``.
    """

    def __init__(self, checkpoint: Checkpoint, channels: int, device: torch.device) -> None:
        features = checkpoint.width("convInit.conv.weight", FEATURES)
        with torch.device("meta"):  # weights of its own would only be made to be thrown away
            module = SegResNet(
                in_channels=1,
                out_channels=channels,
                init_filters=features if features and features % _GROUPS == 0 else FEATURES,
                blocks_down=_DOWN,
                blocks_up=_UP,
                dropout_prob=0.2,
            )
        fill(module, checkpoint, _TITLE)
        if device.type == "cpu":
            for level in (module.down_layers[0], module.up_layers[-1]):
                level[-1] = FrugalBlock(level[-1])
        self.module = module.eval().to(device)
        self.channels = channels
        self.device = device
        self.sha256 = checkpoint.sha256
        #: Called before each block with the share of the windows' time that has passed; may raise.
        self.on_block: Callable[[float], None] = lambda share: None

    @property
    def nbytes(self) -> int:
        """Size of the weights in bytes."""
        return sum(one.numel() * one.element_size() for one in self.module.parameters())

    def features(self, windows: torch.Tensor) -> torch.Tensor:
        """What the last layer is applied to: (windows, features, x, y, z).

        No value is held longer than it is needed, unlike in the network's own ``forward``.

        :param windows: (windows, 1, x, y, z).
        """
        done = iter(_SHARES)
        values = self.module.convInit(windows)
        skips: list[torch.Tensor] = []
        for level in self.module.down_layers:
            values = self._through(level, values, done)
            skips.append(values)
        skips.pop()
        for up, level in zip(self.module.up_samples, self.module.up_layers, strict=True):
            values = up(values)
            values += skips.pop()
            values = self._through(level, values, done)
        _activate(self.module.conv_final[0], values, values)
        return values

    def _through(
        self, level: nn.Sequential, values: torch.Tensor, done: Iterator[float]
    ) -> torch.Tensor:
        for layer in level:
            self.on_block(next(done))
            values = layer(values)
        return values

    def scores(
        self, features: torch.Tensor, part: Sequence[slice]
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """The scores of a part of a window, slab by slab: (row, scores (channels, rows, y, z)).

        :param features: (1, features, x, y, z) of the whole window.
        :param part: of the window; rows are counted from its first.
        """
        rows, columns, lines = part
        head = self.module.conv_final[2]
        _, count, height, width, _ = features.shape
        for slab in slabs(count, height, width):
            first, last = max(slab.start, rows.start), min(slab.stop, rows.stop)
            if first < last:
                scores = head(features[:, :, slab, :, lines])[0]
                wanted = slice(first - slab.start, last - slab.start)
                yield first - rows.start, scores[:, wanted, columns]


class FrugalBlock(nn.Module):
    """A block at full resolution, where values take most memory; its rounding is the block's.

    Beside its input it holds two more of the same size.

    :param block: without biases in its convolutions.
    """

    def __init__(self, block: ResBlock) -> None:
        super().__init__()
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.weight1, self.weight2 = block.conv1.conv.weight, block.conv2.conv.weight

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        one, other = torch.empty_like(values), torch.empty_like(values)
        _activate(self.norm1, values, one)
        convolve(one, self.weight1, None, other)
        _activate(self.norm2, other, other)
        convolve(other, self.weight2, None, one)
        one += values
        return one


def _activate(norm: nn.GroupNorm, values: torch.Tensor, result: torch.Tensor) -> None:
    """Norm and activation, some groups of features after others.

    :param result: may be ``values``.
    """
    size = norm.num_channels // norm.num_groups
    at_once = min(torch.get_num_threads(), _GROUPS_AT_ONCE)  # each is computed by one thread
    for first in range(0, norm.num_groups, at_once):
        count = min(at_once, norm.num_groups - first)
        part = slice(first * size, (first + count) * size)
        normed = group_norm(values[:, part], count, norm.weight[part], norm.bias[part], norm.eps)
        result[:, part] = normed.relu_()


def _shares() -> list[float]:
    """For each layer, the share of a window's time that has passed before it.

    On every level down there are an eighth of the voxels, and four times as much to compute for
    each. What precedes the blocks of a level takes little.
    """
    costs = [0.5**level * cost for level, blocks in enumerate(_DOWN) for cost in (0, *[1] * blocks)]
    costs += [0.5**level for level, blocks in enumerate(reversed(_UP)) for _ in range(blocks)][::-1]
    return [before / sum(costs) for before in itertools.accumulate(costs[:-1], initial=0.0)]


_SHARES = _shares()
