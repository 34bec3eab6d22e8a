"""From a prepared volume to labels: windows, prompts in groups, and the best score of each voxel.

The scores of all prompts for as many rows as a window has would be 12 GB for 117 structures in a CT
of 341 x 341 x 400 voxels. Where that does not fit, the image is gone over several times, each time
with some of the prompts, and for each voxel the best score so far is kept with its label.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from ...jobs.memory import memory
from ..contract import RUNS_AT_ONCE, Reporter
from ..gpu import Way, first_that_fits, half_precision, unused_bytes
from ..monai_windows import Rows, Size, Windows, best_of, place_windows, sweep_windows
from . import FEWEST_AT_ONCE, PREDICT
from .network import Network, scores

_FLOAT_BYTES, _HALF_BYTES = 4, 2
# Of the memory that the network leaves free.
_SHARE = 0.6
# So many times the features of all voxels of a window are in memory at once (measured on a CPU).
_COPIES = 6
_SCORES_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class How:
    """How a network is run.

    :param window: voxels (x, y, z) of a window.
    :param overlap: share of a window that neighbours have in common.
    :param batch: windows that are computed together.
    :param prompt_batch: prompts that are asked together; 0: as many as the memory allows.
    """

    window: Size
    overlap: float
    batch: int
    prompt_batch: int


def predict(
    network: Network, volume: torch.Tensor, prompts: Sequence[int], how: How, report: Reporter
) -> torch.Tensor:
    """The labels of a volume, (x, y, z) int16: for each voxel the prompt with the best score, of
    equal ones the first, and 0 where no score is above 0.

    :param volume: (x, y, z) float32, on the network's device.
    :raises EngineError: ``engine.bad_scores``.
    """
    ways = [Way(how.batch, volume.device)]
    if volume.device.type != "cpu":
        ways.append(Way(1, torch.device("cpu")))
    return first_that_fits(ways, lambda way: _labels(network, volume, prompts, how, report, way))


def _labels(
    network: Network,
    volume: torch.Tensor,
    prompts: Sequence[int],
    how: How,
    report: Reporter,
    way: Way,
) -> torch.Tensor:
    windows = place_windows(volume.shape, how.window, how.overlap)
    at_once = how.prompt_batch or prompts_at_once(network.width, windows, volume, way)
    groups = split(len(prompts), at_once)
    best = Best(tuple(volume.shape), torch.tensor(prompts, dtype=torch.int16), way.sums_on)
    with torch.inference_mode(), half_precision(network.device):
        embeddings = network.embeddings(prompts)
        for number, group in enumerate(groups):
            if len(groups) > 1:
                of = f"structures {group.start + 1} to {group.stop} of {len(prompts)}"
                report.stage(f"{PREDICT} ({of})")
            sweep_windows(
                volume,
                windows,
                group.stop - group.start,
                _predictor(network, embeddings[group], windows),
                best.taker(group),
                _follower(report, number, len(groups)),
                batch=way.windows,
                sums_on=way.sums_on,
                mode="constant",
            )
    return best.labels


def split(count: int, at_once: int) -> list[slice]:
    """Groups of nearly equal size: of at most ``at_once``, but two or three if that is less. None
    has one prompt unless there is only one: see :func:`_rows`."""
    groups = min(math.ceil(count / at_once), max(1, count // 2))
    bounds = [count * number // groups for number in range(groups + 1)]
    return [slice(first, last) for first, last in itertools.pairwise(bounds)]


def prompts_at_once(width: int, windows: Windows, volume: torch.Tensor, way: Way) -> int:
    """As many prompts as there is memory for, at least :data:`FEWEST_AT_ONCE`.

    :param width: features of a voxel.
    :param volume: (x, y, z), on the network's device.
    """
    rows = min(windows.roi[0], volume.shape[0])
    held = _FLOAT_BYTES * rows * math.prod(volume.shape[1:])
    on_gpu = volume.device.type == "cuda"
    used = way.windows * math.prod(windows.roi) * width * _COPIES
    used *= _HALF_BYTES if on_gpu else _FLOAT_BYTES
    if way.sums_on.type == "cuda":
        free = unused_bytes(way.sums_on) - used
    else:
        runs = int(os.environ.get(RUNS_AT_ONCE, "1"))
        free = memory()[1] // runs - (0 if on_gpu else used)
    return max(FEWEST_AT_ONCE, int(free * _SHARE) // held)


class Best:
    """The best score of each voxel so far, and the label that it stands for.

    :param shape: (x, y, z) of the volume.
    :param prompts: (prompts,) int16, in the order in which they are asked.
    :param device: where the scores are.
    """

    def __init__(self, shape: Size, prompts: torch.Tensor, device: torch.device) -> None:
        self._prompts = prompts.to(device)
        self._scores = torch.zeros(shape, device=device)  # what is not above 0 is background
        self.labels = torch.zeros(shape, dtype=torch.int16, device=device)

    def taker(self, group: slice) -> Callable[[int, torch.Tensor], None]:
        """What takes complete rows of scores (prompts, rows, y, z) for some of the prompts."""
        prompts = self._prompts[group]

        def take(row: int, found: torch.Tensor) -> None:
            rows = slice(row, row + found.shape[1])
            highest, which = best_of(found)
            better = highest > self._scores[rows]
            self._scores[rows] = torch.where(better, highest, self._scores[rows])
            self.labels[rows] = torch.where(better, prompts[which], self.labels[rows])

        return take


def _predictor(
    network: Network, embeddings: torch.Tensor, windows: Windows
) -> Callable[[torch.Tensor], Iterator[Rows]]:
    def predict_windows(batch: torch.Tensor) -> Iterator[Rows]:
        for features in network.features(batch):
            yield _rows(embeddings, features, windows)

    return predict_windows


def _rows(embeddings: torch.Tensor, features: torch.Tensor, windows: Windows) -> Rows:
    """The scores of a window in slabs, as those of all rows would be gigabytes.

    They are products of matrices, which are rounded alike in slabs, and for any number of prompts
    but one: a product with one row is another algorithm, and only the whole window's is the same.
    """
    rows, columns, lines = windows.inner
    if len(embeddings) == 1:
        yield 0, scores(embeddings, features)[:, rows, columns, lines]
        return
    features = features[:, rows, columns, lines]
    _, count, height, width = features.shape
    step = max(1, _SCORES_AT_ONCE // (len(embeddings) * height * width))
    for first in range(0, count, step):
        yield first, scores(embeddings, features[:, first : first + step])


def _follower(report: Reporter, group: int, groups: int) -> Callable[[int, int], None]:
    return lambda done, of: report.progress((group + done / of) / groups)
