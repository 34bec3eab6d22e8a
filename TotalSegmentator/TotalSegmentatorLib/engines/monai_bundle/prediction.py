"""One image: the bundle's preprocessing, its windows, its labels, and back onto the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from monai.transforms import NormalizeIntensity, ScaleIntensity

from ...images import Image
from ..contract import Reporter
from ..gpu import Way, first_that_fits, half_precision
from ..monai_transforms import (
    Grid,
    from_ras,
    grid_of,
    labels_on,
    one_thread,
    put_back,
    read,
    respaced,
    to_ras,
)
from ..monai_windows import Rows, best_of, place_windows, sweep_windows
from . import WINDOW
from .network import Network


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as the network wants it.

    :param volume: (x, y, z) float32 from -1 to 1.
    :param grids: of the image, of the image turned to RAS, and of the volume.
    """

    volume: torch.Tensor
    grids: tuple[Grid, Grid, Grid]


def prepare(image: Image, spacing: float, device: torch.device) -> Prepared:
    """The bundle's preprocessing.

    :param spacing: in mm.
    """
    original = read(image, device)
    turned = to_ras(original)
    volume = respaced(turned, spacing)
    grids = grid_of(original), grid_of(turned), grid_of(volume)
    del original, turned
    with one_thread():
        volume = NormalizeIntensity(nonzero=True)(volume)
    return Prepared(ScaleIntensity(-1.0, 1.0)(volume).as_tensor()[0], grids)


def predict(
    network: Network, prepared: Prepared, overlap: float, batch: int, report: Reporter
) -> torch.Tensor:
    """The labels of a prepared image, (x, y, z) uint8.

    :param overlap: share of a window that neighbours have in common.
    :param batch: windows that are given to the network together.
    """

    def labels(way: Way) -> torch.Tensor:
        return _labels(network, prepared.volume, overlap, way, report)

    return first_that_fits(_ways(network.device, batch), labels)


def on_image(labels: torch.Tensor, grids: tuple[Grid, Grid, Grid], image: Image) -> Image:
    """The bundle's way back.

    :param labels: (x, y, z).
    :param grids: see :class:`Prepared`.
    :param image: of which the grid matters only.
    """
    original, turned, present = grids
    return put_back(from_ras(labels_on(labels, present, turned), turned, original), image)


def _ways(device: torch.device, batch: int) -> tuple[Way, ...]:
    """The ways to run the network, the one that was asked for first."""
    if device.type == "cpu":
        return (Way(batch, device),)
    return tuple(dict.fromkeys([Way(batch, device), Way(1, device), Way(1, torch.device("cpu"))]))


def _labels(
    network: Network, volume: torch.Tensor, overlap: float, way: Way, report: Reporter
) -> torch.Tensor:
    windows = place_windows(volume.shape, WINDOW, overlap)
    labels = torch.empty(volume.shape, dtype=torch.uint8, device=way.sums_on)
    done = 0

    def scores(group: torch.Tensor) -> Iterator[Rows]:
        at_once, count = len(group), len(windows.starts)
        network.on_block = lambda share: report.progress((done + share * at_once) / count)
        features = network.features(group)
        for number in range(at_once):
            yield network.scores(features[number : number + 1], windows.inner)

    def take(row: int, complete: torch.Tensor) -> None:
        # The rounding of the softmax makes some scores equal, of which the first one counts.
        _, found = best_of(torch.softmax(complete, 0))
        labels[row : row + len(found)] = found

    def tell(number: int, count: int) -> None:
        nonlocal done
        done = number
        report.progress(number / count)

    with torch.inference_mode(), half_precision(network.device):
        sweep_windows(
            volume, windows, network.channels, scores, take, tell, way.windows, way.sums_on
        )
    return labels
