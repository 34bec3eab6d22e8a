"""Networks whose features OpenVINO computes: faster on CPUs, and rounded in another way."""

from __future__ import annotations

import functools
import itertools
import operator
import sys
import time
from contextlib import suppress
from typing import TypeAlias

import numpy as np
import torch
from torch import fx, nn

from .network import Network, NormInPlace
from .plans import Axes, NotCovered

# OpenVINO tells its maker of every import, which nobody has agreed to; without this module it goes
# on in silence.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino as ov  # noqa: E402
import openvino.opset13 as op  # noqa: E402

_LOOK_MS = 100  # between two looks at whether the run was cancelled
_Z, _Y, _X = 2, 3, 4  # axes of (1, channels, z, y, x)

Parts: TypeAlias = tuple[ov.Node, ...]  # values whose channels belong together, as of torch.cat


def processor_name() -> str:
    """The name of this computer's CPU."""
    return str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME"))


class CompiledNetwork(Network):
    """A network as OpenVINO runs it, in single precision; its last layer remains PyTorch's.

    :param exact: the network, on the CPU; its weights are shared.
    :param threads: number of CPU threads.
    :raises NotCovered: if it has a layer that is unknown here.
    """

    def __init__(self, exact: Network, threads: int) -> None:
        super().__init__(exact.module, exact.plans, exact.device)
        # It would take half precision by itself where the CPU has it.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        graph = _graph(exact.module, exact.plans.patch)
        self._compiled = ov.Core().compile_model(graph, "CPU", settings)
        self._request: ov.InferRequest | None = None  # it holds the values of the last window
        self._seconds = float("inf")  # that the last window took

    def features(self, window: torch.Tensor) -> torch.Tensor:
        """As the exact network's, but the next call writes over them."""
        request = self._request = self._request or self._compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(window.numpy(), shared_memory=True))
        began = time.monotonic()
        request.start_async()
        try:
            while not request.wait_for(_LOOK_MS):
                self.on_block(min((time.monotonic() - began) / self._seconds, 1.0))
        except BaseException:
            request.cancel()
            with suppress(RuntimeError):  # which says that it was cancelled
                request.wait()
            raise
        self._seconds = time.monotonic() - began
        return torch.from_numpy(request.get_output_tensor().data)

    def release_memory(self) -> None:
        """Give back what the values of a window take; the next window takes it again."""
        self._request = None
        self._compiled.release_memory()


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None


def _graph(network: nn.Module, patch: Axes) -> ov.Model:
    """The network up to its last layer, for windows of one size.

    OpenVINO's own conversion would take seconds, and it normalises with sums of millions of values
    added one after the other: an error that can be seen in the labels.
    """
    window = op.parameter([1, 1, *patch], np.float32, "window")
    values: dict[fx.Node, Parts] = {}
    for node in _Tracer().trace(network).nodes:
        given = [values[one] for one in node.all_input_nodes]
        if node.op == "placeholder":
            values[node] = (window,)
        elif node.op == "call_module":
            if node.target.startswith("decoder.seg_layers."):
                return ov.Model([op.result(_joined(given[0]))], [window], "features")
            values[node] = (_layer(network.get_submodule(node.target), given[0]),)
        elif node.target is torch.cat:
            values[node] = tuple(itertools.chain(*given))
        elif node.target is operator.add:
            values[node] = (op.add(*map(_joined, given)),)
        else:
            raise NotCovered(f"the operation {node.target}")
    raise NotCovered("a network without a last layer")


def _joined(parts: Parts) -> ov.Node:
    return op.concat(list(parts), 1) if len(parts) > 1 else parts[0]


def _layer(layer: nn.Module, parts: Parts) -> ov.Node:
    """What a layer makes of values (1, channels, z, y, x)."""
    match layer:
        case nn.Conv3d(groups=1, padding_mode="zeros"):
            return _plus_bias(_convolution(layer, parts), layer.bias)
        case nn.ConvTranspose3d(
            groups=1, padding=(0, 0, 0), output_padding=(0, 0, 0), dilation=(1, 1, 1)
        ):
            weights = _constant(layer.weight)
            made = op.convolution_backprop_data(_joined(parts), weights, list(layer.stride))
            return _plus_bias(made, layer.bias)
        case (
            NormInPlace(weight=torch.Tensor())
            | nn.InstanceNorm3d(affine=True, track_running_stats=False)
        ):
            return _normalised(_joined(parts), layer.weight, layer.bias, layer.eps)
        case nn.LeakyReLU():
            return op.prelu(_joined(parts), np.array([layer.negative_slope], np.float32))
        case nn.ReLU():
            return op.relu(_joined(parts))
        case nn.AvgPool3d(padding=0, ceil_mode=False, divisor_override=None):
            steps, edges = (list(np.broadcast_to(n, 3)) for n in (layer.stride, layer.kernel_size))
            return op.avg_pool(_joined(parts), steps, [0] * 3, [0] * 3, edges, exclude_pad=True)
    raise NotCovered(f"the layer {layer}")


def _convolution(layer: nn.Conv3d, parts: Parts) -> ov.Node:
    """The sum of the parts' convolutions: joined, they would be held twice."""
    sizes = [list(s) for s in (layer.stride, layer.padding, layer.padding, layer.dilation)]
    counts = [part.get_output_shape(0)[1] for part in parts]
    weights = map(_constant, layer.weight.split(counts, dim=1))
    made = (op.convolution(*one, *sizes) for one in zip(parts, weights, strict=True))
    return functools.reduce(op.add, made)


def _plus_bias(values: ov.Node, bias: torch.Tensor | None) -> ov.Node:
    return values if bias is None else op.add(values, _per_channel(bias))


def _normalised(
    values: ov.Node, weight: torch.Tensor, bias: torch.Tensor, epsilon: float
) -> ov.Node:
    """Instance normalisation in one pass for the mean and the variance, and one to apply them."""
    mean = _mean(_mean_along(values, _X))
    root = op.reduce_l2(values, np.array([_X]), keep_dims=True)
    squares = op.multiply(op.multiply(root, root), np.float32(1 / _size(values, _X)))
    variance = op.relu(op.subtract(_mean(squares), op.multiply(mean, mean)))
    deviation = op.sqrt(op.add(variance, np.float32(epsilon)))
    scaled = op.multiply(op.subtract(values, mean), op.divide(_per_channel(weight), deviation))
    return op.add(scaled, _per_channel(bias))


def _mean(lines: ov.Node) -> ov.Node:
    """The mean along z and y."""
    return _mean_along(_mean_along(lines, _Y), _Z)


def _mean_along(values: ov.Node, axis: int) -> ov.Node:
    # Not reduce_mean: OpenVINO makes one long sum of several in a row.
    total = op.reduce_sum(values, np.array([axis]), keep_dims=True)
    return op.multiply(total, np.float32(1 / _size(values, axis)))


def _size(values: ov.Node, axis: int) -> int:
    return values.get_output_shape(0)[axis]


def _per_channel(values: torch.Tensor) -> ov.Node:
    return _constant(values.view(1, -1, 1, 1, 1))


def _constant(values: torch.Tensor) -> ov.Node:
    return op.constant(values.contiguous().numpy(), shared_memory=True)
