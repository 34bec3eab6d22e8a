"""The network of one fold: nnU-Net's own layers, run with less memory and the same rounding."""

from __future__ import annotations

import importlib
import itertools
import math
import operator
import pydoc
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ...errors import InputError
from ..accumulation import slabs
from .plans import NotCovered, Plans

_ARCHITECTURES = "dynamic_network_architectures.architectures.unet"
_PACKAGES = ("torch.nn.", "dynamic_network_architectures.")


class Network:
    """One fold of a model.

    :param module: the network with its weights.
    :param plans: of the model.
    :param device: where it is.
    """

    def __init__(self, module: nn.Module, plans: Plans, device: torch.device) -> None:
        self.plans = plans
        self.device = device
        #: Called before each block with the share of the window that is done; may raise.
        self.on_block: Callable[[float], None] = lambda share: None
        self.module = module.eval().to(device)
        if device.type == "cpu":
            _normalise_in_place(module)

    @property
    def nbytes(self) -> int:
        """Size of the weights in bytes."""
        return sum(one.numel() * one.element_size() for one in self.module.parameters())

    def features(self, window: torch.Tensor) -> torch.Tensor:
        """What the last layer is applied to: (1, features, z, y, x) of a window (1, 1, z, y, x).

        No value is held longer than it is needed, unlike in the network's own ``forward``.
        """
        encoder, decoder = self.module.encoder, self.module.decoder
        done = iter(self._done_before)
        skips: list[torch.Tensor] = []
        stem = getattr(encoder, "stem", None)
        values = window if stem is None else stem(window)
        for stage in encoder.stages:
            for block in _blocks(stage):
                self.on_block(next(done))
                values = block(values)
            skips.append(values)
        skips.pop()
        for up, stage in zip(decoder.transpconvs, decoder.stages, strict=True):
            values = torch.cat((up(values), skips.pop()), 1)
            for block in _blocks(stage):
                self.on_block(next(done))
                values = block(values)
        return values

    @cached_property
    def _done_before(self) -> list[float]:
        """For each block, the share of the window's time that has passed before it.

        The time of a block goes with the values that it writes.
        """
        encoder, decoder = self.module.encoder, self.module.decoder
        voxels = itertools.accumulate((1 / math.prod(s) for s in encoder.strides), operator.mul)
        sizes = [n * share for n, share in zip(encoder.output_channels, voxels, strict=True)]
        stages = [*encoder.stages, *decoder.stages]
        # The decoder has one stage fewer, and ends at full resolution.
        sizes += sizes[-2::-1]
        costs = [size for size, stage in zip(sizes, stages, strict=True) for _ in _blocks(stage)]
        return [done / sum(costs) for done in itertools.accumulate(costs[:-1], initial=0.0)]

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """The scores (1, classes, rows, y, x) of features (1, features, rows, y, x).

        Equal to the same rows of the whole window's scores for the rows of one of :meth:`slabs`.
        """
        return self.module.decoder.seg_layers[-1](features)

    def slabs(self, features: int) -> list[slice]:
        """The rows of a window that are given to :meth:`head` together.

        :param features: channels of the features.
        """
        rows, columns, _ = self.plans.patch
        return slabs(features, rows, columns)


def build_network(plans: Plans, weights: dict[str, torch.Tensor]) -> nn.Module:
    """The network with copies of the weights.

    :raises NotCovered: if the weights are not those of the network that the plans describe.
    """
    arguments = dict(plans.arguments)
    for name in plans.classes:
        if arguments.get(name) is not None:
            arguments[name] = getattr(nn, arguments[name])
    kind = getattr(importlib.import_module(_ARCHITECTURES), plans.network)
    with torch.device("meta"):  # weights of their own would only be made to be thrown away
        module = kind(
            input_channels=1, num_classes=plans.heads.count, deep_supervision=False, **arguments
        )
    try:
        module.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise NotCovered("weights of another network than the plans describe") from error
    for parameter in module.parameters():  # from the file's pages into memory
        parameter.requires_grad_(False)
        parameter.data = parameter.data.to(torch.float32, copy=True)
    return module


def check_classes(plans: Mapping[str, Any]) -> None:
    """Refuse plans that name more than layers and networks; the official packages call all of it.

    :param plans: the content of ``plans.json``.
    :raises InputError: ``input.untrusted_model``.
    """
    for configuration in plans["configurations"].values():
        given = configuration.get("architecture")
        if not given:  # former plans name no class by its path
            continue
        named = [given["arch_kwargs"].get(name) for name in given["_kw_requires_import"]]
        for path in filter(None, [given["network_class_name"], *named]):
            if not _names_a_layer(path):
                raise InputError(
                    "input.untrusted_model",
                    f"The model's plans name something else than a layer or network: {path}.",
                    "If you made the model yourself, allow it with the option trust_model.",
                )


def _names_a_layer(path: str) -> bool:
    """Whether a dotted path leads to a class of layers or networks, or nowhere."""
    if not path.startswith(_PACKAGES):  # importing may run code
        return False
    found = pydoc.locate(path)  # through a module's imports a path leads anywhere
    if found is None:
        return True
    is_layer = isinstance(found, type) and issubclass(found, nn.Module)
    return is_layer and found.__module__.startswith(_PACKAGES)


def _blocks(stage: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a stage one by one, so that nothing holds the input of one that has run."""
    if isinstance(stage, nn.Sequential):
        for part in stage:
            yield from _blocks(part)
    else:
        inner = getattr(stage, "convs", None) or getattr(stage, "blocks", None)
        yield from inner if inner is not None else (stage,)


class NormInPlace(nn.Module):
    """Instance normalisation of a single image that writes over its input.

    It calls the function that PyTorch's own layer ends in, so its rounding is the same.
    """

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        statistics = values.new_empty(values.shape[1]), values.new_empty(values.shape[1])
        torch.native_batch_norm(
            values,
            self.weight,
            self.bias,
            None,
            None,
            True,
            0.0,
            self.eps,
            out=(values, *statistics),
        )
        return values


def _normalise_in_place(module: nn.Module) -> None:
    """Let norms that follow a convolution, whose output nobody else has, write over it."""
    for parent in list(module.modules()):
        for (_, before), (name, child) in itertools.pairwise(list(parent.named_children())):
            follows = isinstance(child, nn.InstanceNorm3d) and isinstance(before, nn.Conv3d)
            if follows and not child.track_running_stats:
                setattr(parent, name, NormInPlace(child))
