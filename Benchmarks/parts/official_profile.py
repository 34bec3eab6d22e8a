"""How long the official engine's steps take, and how much its network computes."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from torch import nn
from totalsegmentator import nnunet

_ITERATOR = "_internal_get_data_iterator_from_lists_of_filenames"


class _Steps:
    """Seconds by step; a step within another one does not count for that."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def wrap(self, owner: Any, name: str, step: Callable[..., str]) -> None:
        """Let a function's time count for the step that its arguments belong to."""
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.step(step(*arguments, **named)):
                return inner(*arguments, **named)

        setattr(owner, name, timed)


class _Counts:
    """How much there is to do: what a limit can be told from."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = defaultdict(int)
        self._hooked: set[nn.Module] = set()

    def image(self, image: Any, *_: Any, order: int, **__: Any) -> str:
        if order == 0:
            return "labels_back"
        self.counts["image_voxels"] += int(np.prod(image.shape))
        return "resampling"

    def data(self, predictor: nnUNetPredictor, data: torch.Tensor) -> str:
        """What a network is given, before windows are cut from it."""
        self.counts["network_voxels"] += data.numel()
        network = predictor.network
        if network not in self._hooked:
            self._hooked.add(network)
            self.counts["weights"] += sum(one.numel() for one in network.parameters())
            for layer in network.modules():
                if isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
                    layer.register_forward_hook(self._count)
        return "scores_to_labels"

    def window(self, *_: Any) -> str:
        self.counts["windows"] += 1
        return "network"

    def _count(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        """The arithmetic of a convolution, and the values that the last layer is given."""
        places, channels = output, layer.in_channels
        if layer.transposed:
            places, channels = inputs[0], layer.out_channels
        self.counts["flops"] += 2 * places.numel() * channels * math.prod(layer.kernel_size)
        if math.prod(layer.kernel_size) == 1:
            self.counts["features"] += inputs[0].numel()


@contextlib.contextmanager
def profiled(path: Path) -> Iterator[None]:
    """Note what happens in the block, and write it to a file."""
    steps, counts = _Steps(), _Counts()
    steps.seconds["start"] = _age()
    predictor = nnUNetPredictor
    steps.wrap(predictor, "initialize_from_trained_model_folder", lambda *_, **__: "loading_models")
    steps.wrap(predictor, "predict_from_data_iterator", lambda *_, **__: "scores_to_labels")
    steps.wrap(predictor, "predict_logits_from_preprocessed_data", counts.data)
    steps.wrap(predictor, "_internal_maybe_mirror_and_predict", counts.window)
    steps.wrap(nnunet, "change_spacing", counts.image)
    _time_iterator(steps)
    yield
    path.write_text(json.dumps({"timings_s": steps.seconds, "counts": counts.counts}), "utf-8")


def _age() -> float:
    """Seconds since this process was started."""
    began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def _time_iterator(steps: _Steps) -> None:
    """The image is prepared in a process of its own, and the time is that of waiting for it."""
    inner = getattr(nnUNetPredictor, _ITERATOR)

    def images(*arguments: Any) -> Iterator[Any]:
        with steps.step("preparing"):
            found = iter(inner(*arguments))
        while True:
            with steps.step("preparing"):
                image = next(found, None)
            if image is None:
                return
            yield image

    setattr(nnUNetPredictor, _ITERATOR, images)
