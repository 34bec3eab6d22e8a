"""One model on one volume: nnU-Net's preprocessing, windows, scores and labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes

from ..accumulation import ScoreSweep
from ..gpu import Way, first_that_fits, half_precision
from .geometry import Box, Volume, box_around, from_ras, to_ras
from .gpu import ways
from .models import Model
from .network import Network
from .normalisation import normalise
from .plans import Axes, Heads, Plans
from .resampling import Progress, labels_of_resampled, resample, shape_at, smooth_labels
from .windows import padding, window_starts, window_weights

_NETWORK, _SUMMING = "network", "scores to labels"
_NETWORK_SHARE = 0.9  # of a model's time, where its scores are resampled


@dataclass(frozen=True)
class How:
    """How a model is run.

    :param step: distance of windows as a share of the patch.
    :param mirroring: whether to average over mirrored windows, along the model's axes.
    :param smooth: whether labels come from scores that are resampled around each structure.
    """

    step: float
    mirroring: bool = False
    smooth: bool = False


@dataclass(frozen=True)
class Watch:
    """Who follows a prediction.

    :param progress: is told often.
    :param measured: notes how long its block takes, under a name.
    """

    progress: Progress
    measured: Callable[[str], AbstractContextManager[object]]

    def part(self, start: float, stop: float) -> Watch:
        """Who follows what is done from one share of the work to another."""
        return replace(self, progress=lambda share: self.progress(start + (stop - start) * share))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A volume as a network wants it; axes (z, y, x) in the plans' order.

    :param windows_in: (z, y, x) float32, normalised, at the plans' spacing, padded to a window.
    :param inner: the part that is not padding.
    :param box: where the part that is not all zero lies in the volume.
    :param shape: of the volume.
    :param spacing: of the volume in mm.
    """

    windows_in: torch.Tensor
    inner: Box
    box: Box
    shape: Axes
    spacing: tuple[float, float, float]

    @property
    def box_shape(self) -> Axes:
        """Size of the part that is not all zero, at the volume's spacing."""
        z, y, x = (axis.stop - axis.start for axis in self.box)
        return z, y, x

    @property
    def inner_shape(self) -> Axes:
        """Size of the part that is not padding, at the plans' spacing."""
        z, y, x = (axis.stop - axis.start for axis in self.inner)
        return z, y, x


def same_preparation(one: Plans, other: Plans) -> bool:
    """Whether volumes are prepared in the same way for two models.

    Among models for CT that is rare: each normalises with the intensities of its own structures.
    """
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("patch", "spacing", "forward", "reorients", "normalisation", "data")
    )


def prepare(volume: Volume, plans: Plans) -> Prepared:
    """Preprocess a volume for a model; the volume is not changed."""
    # As if read from a file and then turned: the rounding of means depends on the layout, in which
    # crops are views.
    volume = Volume(np.ascontiguousarray(volume.array.T).T, volume.affine)
    if plans.reorients:
        volume = to_ras(volume)
    whole = np.array(volume.array.T, np.float32, order="K").transpose(plans.forward)
    z, y, x = (float(volume.spacing[::-1][axis]) for axis in plans.forward)
    box, inside = _part(whole != 0, plans)
    data = whole[box]
    normalise(data, plans.normalisation, inside)
    shape = shape_at(data.shape, (z, y, x), plans.spacing)
    data = resample(data, shape, (z, y, x), plans.spacing, plans.data)
    pads = padding(shape, plans.patch)
    inner = tuple(slice(p[0], p[0] + size) for p, size in zip(pads, shape, strict=True))
    padded = torch.from_numpy(np.pad(data, pads) if np.any(pads) else data)
    return Prepared(padded, inner, box, whole.shape, (z, y, x))


def _part(nonzero: np.ndarray, plans: Plans) -> tuple[Box, np.ndarray | None]:
    """The part that is prepared, and where in it the normalisation looks, if that matters."""
    box = data_box(nonzero)
    return box, binary_fill_holes(nonzero)[box] if plans.normalisation.use_mask else None


def data_box(nonzero: np.ndarray) -> Box:
    """The smallest box that holds all that is not zero, or everything if all is.

    :param nonzero: (z, y, x); a tensor may stay on its device.
    """
    z, y, x = nonzero.shape
    return box_around(nonzero) or (slice(0, z), slice(0, y), slice(0, x))


def predict(
    model: Model,
    volume: Volume,
    prepared: Prepared,
    how: How,
    watch: Watch,
) -> np.ndarray:
    """The model's labels on the volume's grid, (I, J, K).

    :param prepared: what :func:`prepare` has made of the volume.
    """
    plans = model.plans
    possible = ways(model.networks[0].device, plans, prepared.windows_in.shape)
    if len(model.networks) > 1:  # their scores are summed window by window
        possible = tuple(way for way in possible if way.windows == 1)
    labels = first_that_fits(possible, lambda way: _labels(model, prepared, how, watch, way))
    labels = labels.transpose(plans.backward).T
    return from_ras(labels, volume.affine) if plans.reorients else labels


def _labels(model: Model, prepared: Prepared, how: How, watch: Watch, way: Way) -> np.ndarray:
    """The model's labels, (z, y, x) in the plans' order."""
    plans = model.plans
    kind, wide = (torch.int32, np.uint16) if plans.heads.wide else (torch.uint8, np.uint8)
    labels = torch.zeros(prepared.shape, dtype=kind, device=way.sums_on)
    if prepared.inner_shape == prepared.box_shape:
        target = labels[prepared.box]

        def take_labels(row: int, scores: torch.Tensor) -> None:
            rows = slice(row, row + scores.shape[1])
            target[rows] = to_labels(scores, plans.heads)

        _sweep(model, prepared, how, take_labels, watch, way)
    else:
        scores = np.empty((plans.heads.count, *prepared.inner_shape), np.float16)

        def take_scores(row: int, complete: torch.Tensor) -> None:
            scores[:, row : row + complete.shape[1]] = complete.cpu().numpy()

        _sweep(model, prepared, how, take_scores, watch.part(0, _NETWORK_SHARE), way)
        resampled = smooth_labels if how.smooth else labels_of_resampled
        after = watch.part(_NETWORK_SHARE, 1)
        with watch.measured("resampling scores"):
            found = resampled(scores, prepared.box_shape, prepared.spacing, plans, after.progress)
        labels[prepared.box] = torch.from_numpy(found)
    return labels.cpu().numpy().astype(wide, copy=False)


def to_labels(scores: torch.Tensor, heads: Heads) -> torch.Tensor:
    """The labels (rows, y, x) of scores (channels, rows, y, x), int32.

    Of equal scores the first channel counts; regions are painted one over the other.
    """
    if not heads.regions:
        return scores.max(0).indices.int()
    labels = torch.zeros(scores.shape[1:], dtype=torch.int32, device=scores.device)
    for value, one in zip(heads.regions, scores, strict=True):
        labels[torch.sigmoid(one.float()) > 0.5] = value
    return labels


def _sweep(
    model: Model,
    prepared: Prepared,
    how: How,
    sink: Callable[[int, torch.Tensor], None],
    watch: Watch,
    way: Way,
) -> None:
    """Run all windows; ``sink`` gets complete scores without the padding, in order of rows."""
    plans, device = model.plans, model.networks[0].device
    shape = tuple(prepared.windows_in.shape)
    starts = list(itertools.product(*window_starts(shape, plans.patch, how.step)))
    weights = window_weights(plans.patch, way.sums_on)
    rows, columns, lines = prepared.inner

    def inner(row: int, scores: torch.Tensor) -> None:
        first, last = max(row, rows.start), min(row + scores.shape[1], rows.stop)
        if first < last:
            sink(first - rows.start, scores[:, first - row : last - row, columns, lines])

    folds = len(model.networks)
    sweep = ScoreSweep(plans.heads.count, folds, shape, weights, len(starts), inner)
    axes = model.mirror_axes if how.mirroring else ()
    with torch.inference_mode(), half_precision(device):
        for first in range(0, len(starts), way.windows):
            group = starts[first : first + way.windows]
            windows = _cut(prepared.windows_in, group, plans.patch).to(device)
            for fold, network in enumerate(model.networks):
                piece = len(group) / folds
                done = first + piece * fold
                network.on_block = _progress(watch.progress, done, piece, len(starts))
                for number, row, scores in _scores(network, windows, axes, watch):
                    with watch.measured(_SUMMING):
                        if fold == row == 0:
                            sweep.begin_window(group[number])
                        sweep.add(fold, row, scores.to(way.sums_on))
        with watch.measured(_SUMMING):
            sweep.finish()
    watch.progress(1.0)


def _progress(on_progress: Progress, done: float, piece: float, count: int) -> Progress:
    return lambda share: on_progress((done + piece * share) / count)


def _cut(volume: torch.Tensor, starts: Sequence[Axes], patch: Axes) -> torch.Tensor:
    """Copies of windows, (windows, 1, z, y, x)."""
    places = [
        tuple(slice(first, first + edge) for first, edge in zip(start, patch, strict=True))
        for start in starts
    ]
    return torch.stack([volume[place] for place in places])[:, None]


def _scores(
    network: Network, windows: torch.Tensor, mirror_axes: Sequence[int], watch: Watch
) -> Iterator[tuple[int, int, torch.Tensor]]:
    """The scores of windows in slabs: (window, first row, (channels, rows, y, x))."""
    if mirror_axes:
        with watch.measured(_NETWORK):
            scores = _mirrored_scores(network, windows, mirror_axes)
        yield from ((number, 0, one) for number, one in enumerate(scores))
        return
    with watch.measured(_NETWORK):
        features = network.features(windows)
    slabs = network.slabs(features.shape[1])
    for number, rows in itertools.product(range(len(windows)), slabs):
        with watch.measured(_NETWORK):
            scores = network.head(features[number : number + 1, :, rows])[0]
        yield number, rows.start, scores


def _mirrored_scores(
    network: Network, windows: torch.Tensor, mirror_axes: Sequence[int]
) -> torch.Tensor:
    """The mean of the scores of windows and of all their mirror images, in nnU-Net's order."""
    axes = [axis + 2 for axis in mirror_axes]
    flips = [c for n in range(len(axes)) for c in itertools.combinations(axes, n + 1)]
    scores = network.head(network.features(windows))
    for flip in flips:
        mirrored = network.features(torch.flip(windows, flip))
        scores += torch.flip(network.head(mirrored), flip)
    scores /= len(flips) + 1
    return scores
