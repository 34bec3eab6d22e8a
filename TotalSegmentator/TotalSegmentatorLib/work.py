"""How much a run has to compute, whatever the computer that does it.

The steps are those of nnU-Net: an image is resampled to a network's spacing, and overlapping
patches that cover it go through the network one by one. A model's own plan gives its patch; for a
model that is not on this computer that of most models is assumed. An engine whose networks are not
nnU-Net's tells what they cost, see :func:`.engines.networks`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import catalog, engines
from .catalog import TYPICAL_BYTES, Crop, Model, Task
from .engines.contract import NetworkWork
from .engines.nnunet.model_folder import ModelFolder, open_model_folder
from .engines.nnunet.parts import is_split, three_parts
from .engines.nnunet.windows import STEP, half_precision_bytes, step_of, window_count
from .jobs import Request
from .jobs.request import OptionValue

Spacing = tuple[float, float, float]

_PATCH = (128, 128, 128)
_FEATURES = 32
# A model that takes images as they are was trained on images of about this spacing.
_OWN_SPACING: Spacing = (1.0, 1.0, 1.0)
# Assumed of the region that a rough segmentation finds: its share of the image along every axis,
# and how long it gets at most, with its margin, by the first structure that is looked for.
_CROP_SHARE = 0.7
_CROP_LIMITS_MM = {"teeth": 130.0, "brain": 220.0, "heart": 220.0, "skull": 260.0, "liver": 320.0}
_CROP_LIMIT_MM = 400.0
_MIRRORED = 8


@dataclass(frozen=True)
class Work:
    """What a run computes.

    :param networks: how many networks are loaded and run.
    :param patch_voxels: voxels of all patches together, counted as if all networks were plain
        ones with 32 features at full resolution.
    :param scores: voxels times classes of all results at the networks' spacing.
    :param image_voxels: voxels of the image.
    :param largest_scores: scores of the largest result; of one in three parts, those of two: the
        official package may still write one when it has the next.
    :param largest_layer: scores of the largest layer of a result, as high as a patch; of a result
        whose scores are resampled, or of the largest of its parts, all of them.
    :param largest_patch: voxels times features of the largest patch.
    :param largest_window: bytes that the largest patch takes of a GPU.
    """

    networks: int
    patch_voxels: float
    scores: float
    image_voxels: float
    largest_scores: float
    largest_layer: float
    largest_patch: float
    largest_window: float


@dataclass(frozen=True)
class _Pass:
    """One network on one box of the image, with the overlap of its patches.

    :param grid: spacing of what the network is given.
    :param parts: into how many parts the box was cut; the extent is that of the largest.
    """

    network: NetworkWork
    extent_mm: Sequence[float]
    grid: Spacing
    repeated: int = 1
    parts: int = 1

    @property
    def shape(self) -> list[int]:
        """Voxels along each axis at the network's spacing, filled up to a whole patch."""
        sizes = zip(self.extent_mm, self.network.spacing, self.network.patch, strict=True)
        return [max(round(mm / spacing), patch) for mm, spacing, patch in sizes]

    @property
    def patch_voxels(self) -> float:
        # What a narrower network saves is arithmetic, but it waits for memory all the same:
        # its time falls with its features, not with their square.
        network = self.network
        windows = [
            window_count(size, patch, network.step)
            for size, patch in zip(self.shape, network.patch, strict=True)
        ]
        cost = network.folds * self.repeated * network.features / _FEATURES
        return math.prod(windows) * math.prod(network.patch) * cost * self.parts

    @property
    def scores(self) -> float:
        """Those of a part."""
        return float(math.prod(self.shape) * self.network.classes)

    @property
    def layer(self) -> float:
        if not all(map(math.isclose, self.grid, self.network.spacing)):
            return self.scores  # they are resampled, for which all are needed
        return self.scores * self.network.patch[2] / self.shape[2]


def work_of(
    shape_ijk: Sequence[int],
    spacing_mm: Sequence[float],
    request: Request,
    weights_folder: Path | None = None,
) -> Work:
    """The work of one completed request on an image.

    Of the options of tasks only robust cropping, higher-order resampling (for its memory) and
    three parts change it: what the others cost or save is not known, see :mod:`.estimate`.

    :param shape_ijk: voxels of the image, or of the region that is run.
    :param spacing_mm: their distances.
    :param weights_folder: where models may lie whose plans are then read.
    :raises InputError: ``input.bad_model`` for a model folder that is none.
    """
    extent = [n * mm for n, mm in zip(shape_ijk, spacing_mm, strict=True)]
    x, y, z = spacing_mm
    passes = list(_passes(request, extent, (x, y, z), weights_folder))
    return Work(
        networks=len(passes),
        patch_voxels=sum(one.patch_voxels for one in passes),
        scores=sum(one.scores * one.parts for one in passes),
        image_voxels=float(math.prod(shape_ijk)),
        largest_scores=max(one.scores * min(one.parts, 2) for one in passes),
        largest_layer=max(one.layer for one in passes),
        largest_patch=max(math.prod(p.network.patch) * p.network.features for p in passes),
        largest_window=max(_window_bytes(p.network) for p in passes),
    )


def _window_bytes(network: NetworkWork) -> float:
    voxels = math.prod(network.patch)
    return float(half_precision_bytes(voxels, network.features, network.classes))


def resolution_mm(request: Request) -> tuple[Spacing | None, ...]:
    """The different spacings (x, y, z) at which a completed request's result is made, finest
    first; None stands for that of the image itself."""
    if engines.scope_of(request) == "model":
        return (_in_folder(_model_folder(request)).spacing,)
    models = catalog.task(request.task).own_models(request.speed, _own_structures(request))
    different = {model.spacing_mm for model in models}
    return tuple(sorted(different, key=lambda mm: mm or _OWN_SPACING))


def _own_structures(request: Request) -> tuple[str, ...]:
    """Those that the models find; others are made from them."""
    return engines.spec(request.engine).own_structures(request.task, request.structures)


def _model_folder(request: Request) -> ModelFolder:
    path = Path(request.model) if request.model else catalog.task(request.task).model_path
    return open_model_folder(path)


def _passes(
    request: Request,
    extent_mm: Sequence[float],
    spacing: Spacing,
    weights_folder: Path | None,
) -> Iterator[_Pass]:
    options = request.options
    if engines.scope_of(request) == "model":
        step = float(options.get("step_size", STEP))
        network = replace(_in_folder(_model_folder(request)), step=step)
        repeated = _MIRRORED if options.get("mirroring") else 1
        yield _Pass(network, extent_mm, spacing, repeated)
        return
    own = engines.networks(request)
    if own:
        yield from (_Pass(network, extent_mm, network.spacing) for network in own)
        return
    task = catalog.task(request.task)
    crop = task.crop or (task.subset_crop if request.structures else None)
    yield from _of_task(
        task,
        task.own_models(request.speed, _own_structures(request)),
        crop,
        extent_mm,
        spacing,
        weights_folder,
        options,
    )


def _of_task(
    task: Task,
    models: Sequence[Model],
    crop: Crop | None,
    extent_mm: Sequence[float],
    spacing: Spacing,
    weights_folder: Path | None,
    options: Mapping[str, OptionValue] = MappingProxyType({}),
) -> Iterator[_Pass]:
    """The passes of a task, whichever engine runs it: what comes first, then its own models."""
    before = list(task.prerequisites)
    if crop:
        robust = options.get("robust_crop")
        before.append((crop.task, crop.robust_speed if robust else crop.speed))
    for id, speed in before:
        other = catalog.task(id)
        models_before = other.speeds[speed]
        yield from _of_task(other, models_before, other.crop, extent_mm, spacing, weights_folder)
    if crop:
        first = (*crop.structures, "")[0].partition("_")[0]
        limit = _CROP_LIMITS_MM.get(first, _CROP_LIMIT_MM)
        extent_mm = [min(mm * _CROP_SHARE, limit) for mm in extent_mm]
    resampled_to = None if options.get("higher_order_resampling") else models[0].spacing_mm
    grid = resampled_to or spacing
    extent_mm, parts = _cut(
        extent_mm, grid, bool(models[0].labels), bool(options.get("force_split"))
    )
    for model in models:
        network = _of_catalog(model, task, weights_folder)
        yield _Pass(network, extent_mm, grid, parts=parts)


def _cut(
    extent_mm: Sequence[float], grid: Spacing, several: bool, forced: bool
) -> tuple[Sequence[float], int]:
    """The extent of the largest part of an image, and how many parts there are, see
    :mod:`.engines.nnunet.parts`."""
    shape = [round(mm / spacing) for mm, spacing in zip(extent_mm, grid, strict=True)]
    if not is_split(shape, several, forced):
        return extent_mm, 1
    parts = three_parts(shape[2])
    highest = max(seen.stop - seen.start for seen, _kept in parts)
    return (*extent_mm[:2], highest * grid[2]), len(parts)


def _of_catalog(model: Model, task: Task, weights_folder: Path | None) -> NetworkWork:
    classes, step = len(model.labels or task.labels) + 1, step_of(task.id)
    archive = catalog.archive(model)
    # An archive holds all folds, and larger networks than the plain one: both cost alike.
    size = archive.size_bytes / TYPICAL_BYTES if archive else 1.0
    folds = max(1.0, len(model.folds), size)
    if weights_folder:
        place = weights_folder / model.folder / model.subfolder
        try:
            plans = json.loads((place / "plans.json").read_text("utf-8"))
            patch, spacing, features = _planned(plans, model.configuration)
            spacing = model.spacing_mm or spacing
            return NetworkWork(patch, spacing, classes, features, folds, step)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # not downloaded, or damaged, which the run itself will tell
    return NetworkWork(_PATCH, model.spacing_mm or _OWN_SPACING, classes, _FEATURES, folds, step)


def _in_folder(model: ModelFolder) -> NetworkWork:
    """A model folder; of its configurations the one that nnU-Net's training begins with."""
    names = [name for name in model.plans["configurations"] if name.startswith("3d")]
    name = "3d_fullres" if "3d_fullres" in names else (names or ["3d_fullres"])[0]
    classes, folds = len(model.dataset["labels"]), float(len(model.folds))
    try:
        patch, spacing, features = _planned(model.plans, name)
    except (ValueError, KeyError, TypeError, AttributeError):
        return NetworkWork(_PATCH, _OWN_SPACING, classes, folds=folds)  # the engine will tell
    return NetworkWork(patch, spacing, classes, features, folds)


def _planned(plans: Mapping[str, Any], name: str) -> tuple[tuple[int, ...], Spacing, int]:
    """Patch and spacing (x, y, z), and features, of a configuration of nnU-Net's plans.

    :raises KeyError, ValueError, TypeError, AttributeError: if the plans are not as usual.
    """
    configuration = plans["configurations"][name]
    if "inherits_from" in configuration:
        parent = plans["configurations"][configuration["inherits_from"]]
        configuration = {**parent, **configuration}
    features = configuration.get("UNet_base_num_features", _FEATURES)  # plans of older versions
    network = configuration.get("architecture", {}).get("arch_kwargs", {})
    features = network.get("features_per_stage", [features])[0]
    # nnU-Net counts axes from the slowest one.
    patch = tuple(max(1, int(n)) for n in reversed(configuration["patch_size"]))
    x, y, z = (float(mm) for mm in reversed(configuration["spacing"]))
    if len(patch) != 3 or min(x, y, z) <= 0:
        raise ValueError("no plans of a 3D network")
    return patch, (x, y, z), int(features)
