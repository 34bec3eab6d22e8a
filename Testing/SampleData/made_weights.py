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
from pathlib import Path
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Model

FULL_FEATURES = 32
MAX_FEATURES = 320


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
        labels = model.labels or _labels_of(model)
        make_model(arguments.folder, model, labels, arguments.features, arguments.patch)
        print(model.folder)


def _labels_of(model: Model) -> dict[int, str]:
    """The labels of a model that gives a whole task."""
    for task in catalog.tasks():
        if any(model in models for models in task.speeds.values()):
            return dict(task.labels)
    raise SystemExit(f"no task has the model {model.folder}")


def make_model(
    folder: Path, model: Model, labels: dict[int, str], features: int, patch: int
) -> None:
    """Write one model folder: plans.json, dataset.json, fold_0/checkpoint_final.pth."""
    torch.manual_seed(model.dataset_id)
    stages = 5 if (model.spacing_mm or (1.5,))[0] > 1.5 else 6
    size = [patch] * 3 if patch else ([112, 112, 128] if stages == 5 else [128, 128, 128])
    heads = {"background": 0, **{name: value for value, name in labels.items()}}
    network = make_network(features, stages, len(heads))
    plans = make_plans(model, size, features, stages)
    place = folder / model.folder / model.subfolder
    (place / "fold_0").mkdir(parents=True, exist_ok=True)
    (place / "plans.json").write_text(json.dumps(plans), "utf-8")
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": heads,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    (place / "dataset.json").write_text(json.dumps(dataset), "utf-8")
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": model.trainer,
        "inference_allowed_mirroring_axes": None,
        "init_args": {"configuration": model.configuration, "fold": 0, "plans": plans},
    }
    torch.save(checkpoint, place / "fold_0" / "checkpoint_final.pth")


def make_network(features: int, stages: int, heads: int) -> nn.Module:
    """nnU-Net's plain network; the last layer is widened so that argmax gives many classes."""
    network = PlainConvUNet(
        1,
        stages,
        [min(features * 2**stage, MAX_FEATURES) for stage in range(stages)],
        nn.Conv3d,
        3,
        [1] + [2] * (stages - 1),
        [2] * stages,
        heads,
        [2] * (stages - 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=False,
    )
    for layer in network.decoder.seg_layers:
        nn.init.normal_(layer.weight, std=0.5)
        nn.init.normal_(layer.bias, std=0.5)
    return network


def make_plans(model: Model, patch: list[int], features: int, stages: int) -> dict[str, Any]:
    """``plans.json`` as nnU-Net's planner writes it for such a network."""
    spacing = list(reversed(model.spacing_mm or (1.5, 1.5, 1.5)))
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": f"{model.plans}_{model.configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": [float(n) for n in patch],
        "spacing": spacing,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": features,
        "unet_max_num_features": MAX_FEATURES,
        "n_conv_per_stage_encoder": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "num_pool_per_axis": [stages - 1] * 3,
        "pool_op_kernel_sizes": [[1] * 3] + [[2] * 3] * (stages - 1),
        "conv_kernel_sizes": [[3] * 3] * stages,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "batch_dice": False,
    }
    return {
        "dataset_name": model.folder,
        "plans_name": model.plans,
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {model.configuration: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {
                "max": 3000.0,
                "mean": -50.386,
                "median": -5.0,
                "min": -1024.0,
                "percentile_00_5": -1004.0,
                "percentile_99_5": 1588.0,
                "std": 503.39,
            }
        },
    }


if __name__ == "__main__":
    main()
