"""Shrunken models for any task, as many kinds of them as nnU-Net knows, that give blobs of labels.

Their networks are small and their values random, but smooth, and the last layer is chosen by what
the network makes of an image: every label is found there. Run with the engine environment's
Python::

    python Testing/SampleData/made_models.py WEIGHTS_FOLDER --task teeth --image ct.nii.gz
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn
from totalsegmentator.alignment import as_closest_canonical
from totalsegmentator.map_to_binary import class_map
from totalsegmentator.resampling import change_spacing

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TotalSegmentator"))
from made_plans import KINDS, Kind, heads, make_dataset, make_plans
from made_weights import labels_of, make_network, write_model

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Model, Task

# Of the kinds for labels, in turn; a kind with a spacing of its own only where the task has none.
_IN_TURN = (
    *("small", "zscore", "masked", "rescaled", "raw", "residual", "sitk"),
    *("nibabel", "inherited"),
)
_WITHOUT_SPACING = ("anisotropic", "resampled", "resampled_regions")


def main() -> None:
    """Make the models that tasks need and that are not there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="weights folder, e.g. HOME/nnunet/results")
    parser.add_argument("--task", nargs="+", default=["total"])
    parser.add_argument("--speed", default="", help="one of the tasks' speeds; else all")
    parser.add_argument("--kind", choices=KINDS, default="", help="for the tasks' own models")
    parser.add_argument("--image", type=Path, required=True)
    arguments = parser.parse_args()
    make_models(arguments.folder, arguments.task, arguments.image, arguments.kind, arguments.speed)


def make_models(
    weights: Path, tasks: Sequence[str], image: Path, kind: str = "", speed: str = ""
) -> None:
    """Make the models of tasks, and those that run before them with any option.

    :param kind: one kind for the tasks' own models; empty: for each that which stands for it.
    :param speed: one of the tasks' speeds; empty: all.
    """
    own: dict[Model, None] = {}
    before: dict[Model, None] = dict.fromkeys(catalog.task("body").speeds["fast"])
    for task in map(catalog.task, tasks):
        some = next(iter(task.labels.values()))
        for each in [speed] if speed else task.speeds:
            own.update(dict.fromkeys(task.own_models(each)))
            for robust in (False, True):
                before.update(dict.fromkeys(task.required_models(each, (), robust)))
                before.update(dict.fromkeys(task.required_models(each, (some,), robust)))
    for model in own | before:
        if not (weights / model.folder).exists():
            chosen = KINDS[kind] if kind and model in own else kind_of(model)
            make_model(weights, model, image, chosen)


def kind_of(model: Model) -> Kind:
    """The kind of plans that stands for a model, so that all kinds occur among all tasks."""
    if model.spacing_mm is None:
        # Regions overlap, so one label is none.
        kinds = _WITHOUT_SPACING if len(labels_of(model)) > 1 else _WITHOUT_SPACING[:2]
        return KINDS[kinds[model.dataset_id % len(kinds)]]
    if max(model.spacing_mm) >= 3:  # shows other tasks where to look
        return KINDS["zscore" if _task_of(model).modality == "MR" else "plain"]
    if len(labels_of(model)) == 3:
        return KINDS["regions"]
    kind = KINDS[_IN_TURN[_rank(model) % len(_IN_TURN)]]
    return replace(kind, features=4) if min(model.spacing_mm) < 1 else kind  # many windows


def make_model(weights: Path, model: Model, image: Path, kind: Kind) -> None:
    """Write one shrunken model below the weights folder.

    :param image: every label is found in it, and what tasks look for in a small region.
    """
    plans, labels = make_plans(model, kind), _with_removed(model)
    dataset = make_dataset(labels, kind)
    torch.manual_seed(model.dataset_id)
    networks = []
    for _ in model.folds or (0, 1):
        network = make_network(plans, model.configuration, heads(labels, kind))
        _smooth(network)
        sample = _sample(image, model, network, plans, dataset)
        _fit(network.decoder.seg_layers[-1], sample, kind, _looked_for(labels))
        networks.append(network)
    folder = weights / model.folder
    write_model(folder, model, plans, dataset, networks, (0, 1, 2) if kind.mirrored else None)
    if model.dataset_id in range(831, 837):  # as in the official downloads, where it must not count
        other = replace(model, plans="nnUNetResEncUNetLPlans_8")
        write_model(folder, other, plans, dataset, [make_network(plans, model.configuration, 2)])


def _task_of(model: Model) -> Task:
    """The first task that has the model."""
    return next(t for t in catalog.tasks() if any(model in ms for ms in t.speeds.values()))


def _rank(model: Model) -> int:
    models = {m: None for t in catalog.tasks() for ms in t.speeds.values() for m in ms}
    return list(models).index(model)


def _with_removed(model: Model) -> dict[int, str]:
    """The labels that a model gives, and those that the package removes again."""
    removed = {} if model.labels else class_map.get(f"{_task_of(model).id}_auxiliary", {})
    return {**labels_of(model), **removed}


def _looked_for(labels: Mapping[int, str]) -> list[int]:
    """The values of one structure of each group that tasks crop to."""
    names = {task.crop.structures[0] for task in catalog.tasks() if task.crop}
    return [value for value, name in labels.items() if name in names]


@torch.no_grad()
def _smooth(network: nn.Module) -> None:
    """Make convolutions mostly averages, so that neighbours get similar values."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d) and layer.kernel_size != (1, 1, 1):
            mixing = layer.weight.mean((2, 3, 4), keepdim=True) * layer.weight[0, 0].numel() ** 0.5
            layer.weight.mul_(0.25).add_(mixing)
            layer.bias.normal_(std=0.3)


@dataclass(frozen=True, eq=False)
class _Sample:
    """What a network makes of one image.

    :param features: (voxels, channels), the input of the last layer.
    :param places: (voxels, 3), where they are, in voxels of the network.
    """

    features: torch.Tensor
    places: torch.Tensor


def _sample(
    path: Path, model: Model, network: nn.Module, plans: dict[str, Any], dataset: dict[str, Any]
) -> _Sample:
    """What the network makes of some windows of an image, without what is padded."""
    manager = PlansManager(plans)
    configuration = manager.get_configuration(model.configuration)
    data = _preprocessed(path, model, manager, configuration, dataset)
    size = configuration.patch_size
    padded, real = pad_nd_image(data, size, "constant", {"constant_values": 0}, True)
    starts = np.array([axis.start for axis in real[1:]])
    steps = compute_steps_for_sliding_window(padded.shape[1:], size, 1.0)
    corners = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
    generator = np.random.default_rng(model.dataset_id)
    features, places = [], []
    for corner in generator.permutation(corners)[:4]:
        inside = tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))
        window = torch.from_numpy(np.ascontiguousarray(padded[(0, *inside)]))[None, None]
        at = np.indices(size).reshape(3, -1).T + corner - starts
        is_real = np.flatnonzero(np.all((at >= 0) & (at < data.shape[1:]), 1))
        some = generator.permutation(is_real)[:3000]
        features.append(_features(network, window)[0].flatten(1).T[some])
        places.append(torch.from_numpy(at[some]).double())
    return _Sample(torch.cat(features), torch.cat(places))


def _preprocessed(
    path: Path,
    model: Model,
    plans: PlansManager,
    configuration: ConfigurationManager,
    dataset: dict[str, Any],
) -> np.ndarray:
    """An image as the network sees it, shape (1, z, y, x)."""
    image = as_closest_canonical(nibabel.load(path))
    if model.spacing_mm:
        image = change_spacing(image, list(model.spacing_mm), order=1, dtype=np.int32)
    with tempfile.TemporaryDirectory() as folder:
        resampled = str(Path(folder) / "resampled.nii")
        nibabel.save(image, resampled)
        preprocessor = DefaultPreprocessor(verbose=False)
        return preprocessor.run_case([resampled], None, plans, configuration, dataset)[0]


@torch.no_grad()
def _features(network: nn.Module, window: torch.Tensor) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    layer = network.decoder.seg_layers[-1]
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(window)
    hook.remove()
    return seen[0]


@torch.no_grad()
def _fit(layer: nn.Module, sample: _Sample, kind: Kind, looked_for: Sequence[int]) -> None:
    """Choose the last layer by what the network makes of an image.

    A region is what lies on one side of a plane in the space of the features, a label is what lies
    nearest to the features of one voxel.

    :param looked_for: labels that are to be found in a small region.
    """
    features = sample.features
    scale = features.std(0).clamp_min(1e-3)
    if kind.regions:
        weight = torch.randn(layer.out_channels, features.shape[1]) / scale
        bias = -(features @ weight.T).quantile(0.7, dim=0)
    else:
        some = features[torch.randperm(len(features))[: layer.out_channels]] / scale
        weight, bias = 2 * some / scale, -(some**2).sum(1)
        scores = features @ weight.T + bias
        best = scores[:, 1:].max(1).values
        bias[0] += (best - scores[:, 0]).quantile(0.33)  # a third of the voxels
        rest = sample
        for value in looked_for:
            weight[value], bias[value] = _corner(rest, scale)
            others = rest.features @ weight[value] + bias[value] < 0
            rest = _Sample(rest.features[others], rest.places[others])
            bias[value] += best.quantile(0.99)
    layer.weight.copy_(weight[:, :, None, None, None])
    layer.bias.copy_(bias)


def _corner(sample: _Sample, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A plane that cuts off a few voxels, near each other and unlike the others.

    :returns: its weights, and the bias with which those voxels get more than 0.
    """
    few = 1 + min(20, len(sample.features) // 200)
    directions = torch.randn(16, len(scale))
    steep = 40 * directions / directions.norm(dim=1, keepdim=True) / scale

    def badness(direction: torch.Tensor) -> float:
        along = sample.features @ direction
        most = along.topk(few)
        spread = sample.places[most.indices].std(0).sum() + 1
        return float(spread / (most.values[-1] - along.median()).clamp_min(1))

    chosen = min(steep, key=badness)
    return chosen, -(sample.features @ chosen).topk(few).values[-1]


if __name__ == "__main__":
    main()
