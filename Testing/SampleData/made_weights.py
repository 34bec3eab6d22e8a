"""Weights of the true architecture with random values, where the official package looks for them.

With them the official engine runs offline and for real; its labels mean nothing. Run with the
engine environment's Python::

    python Testing/SampleData/made_weights.py WEIGHTS_FOLDER --task total --speed fast

``--features`` makes the networks narrower, for tests that need the path and not the cost. Patch
sizes and numbers of stages of the official models are inferred from public descriptions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TotalSegmentator"))
from made_plans import Kind, heads, make_dataset, make_plans

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Model

FULL_FEATURES = 32


def main() -> None:
    """Make the weights that a task needs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="weights folder, e.g. HOME/nnunet/results")
    parser.add_argument("--task", default="total")
    parser.add_argument("--speed", default="fast")
    parser.add_argument("--structures", nargs="*", default=[])
    parser.add_argument("--features", type=int, default=FULL_FEATURES, help="of the first stage")
    parser.add_argument("--patch", type=int, default=0, help="edge in voxels; 0: the official one")
    arguments = parser.parse_args()
    task = catalog.task(arguments.task)
    for model in task.required_models(arguments.speed, arguments.structures):
        kind = true_kind(model, arguments.features, arguments.patch)
        plans, labels = make_plans(model, kind), labels_of(model)
        torch.manual_seed(model.dataset_id)
        network = make_network(plans, model.configuration, heads(labels, kind))
        for layer in network.decoder.seg_layers:  # widened, so that argmax gives many classes
            nn.init.normal_(layer.weight, std=0.5)
            nn.init.normal_(layer.bias, std=0.5)
        dataset = make_dataset(labels, kind)
        write_model(arguments.folder / model.folder, model, plans, dataset, [network])
        print(model.folder)


def true_kind(model: Model, features: int, patch: int) -> Kind:
    """Plans as the official models have them."""
    stages = 5 if (model.spacing_mm or (1.5,))[0] > 1.5 else 6
    size = (patch,) * 3 if patch else ((112, 112, 128) if stages == 5 else (128, 128, 128))
    return Kind(size, features, ((1, 1, 1), *((2, 2, 2),) * (stages - 1)), old_format=True)


def labels_of(model: Model) -> Mapping[int, str]:
    """The labels that a model gives, without those that the package removes again."""
    if model.labels:
        return model.labels
    for task in catalog.tasks():
        if any(model in models for models in task.speeds.values()):
            return task.labels
    raise SystemExit(f"no task has the model {model.folder}")


def make_network(plans: dict[str, Any], configuration: str, heads: int) -> nn.Module:
    """The network that nnU-Net builds by the plans, with random values."""
    found = PlansManager(plans).get_configuration(configuration)
    return get_network_from_plans(
        found.network_arch_class_name,
        found.network_arch_init_kwargs,
        found.network_arch_init_kwargs_req_import,
        1,
        heads,
        deep_supervision=False,
    )


def write_model(
    folder: Path,
    model: Model,
    plans: dict[str, Any],
    dataset: dict[str, Any],
    networks: Sequence[nn.Module],
    mirroring_axes: tuple[int, ...] | None = None,
) -> None:
    """Write plans.json, dataset.json and fold_N/checkpoint_final.pth below a model's folder.

    :param networks: one for each fold of the model, or as many as there are.
    """
    place = folder / model.subfolder
    place.mkdir(parents=True, exist_ok=True)
    (place / "plans.json").write_text(json.dumps(plans), "utf-8")
    (place / "dataset.json").write_text(json.dumps(dataset), "utf-8")
    for fold, network in enumerate(networks):
        checkpoint = {
            "network_weights": network.state_dict(),
            **_left_by_training(network),
            "init_args": {
                "plans": plans,
                "configuration": model.configuration,
                "fold": fold,
                "dataset_json": dataset,
                "device": torch.device("cuda"),
            },
            "trainer_name": model.trainer,
            "inference_allowed_mirroring_axes": mirroring_axes,
        }
        (place / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(checkpoint, place / f"fold_{fold}" / "checkpoint_final.pth")


def _left_by_training(network: nn.Module) -> dict[str, Any]:
    """What nnU-Net's checkpoints hold besides: as many values again, and NumPy's scalars."""
    momenta = {
        number: {"momentum_buffer": torch.zeros_like(parameter.data)}
        for number, parameter in enumerate(network.parameters())
    }
    return {
        "optimizer_state": {"state": momenta, "param_groups": [{"lr": 0.01, "momentum": 0.99}]},
        "grad_scaler_state": {"scale": 65536.0, "growth_factor": 2.0},
        "logging": {
            "mean_fg_dice": [np.float64(0.5)],
            "dice_per_class_or_region": [[np.float32(0.5)]],
        },
        "_best_ema": np.float64(0.5),
        "current_epoch": 1000,
    }


if __name__ == "__main__":
    main()
