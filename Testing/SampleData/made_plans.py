"""What stands beside the weights of a made model: ``plans.json`` and ``dataset.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from TotalSegmentatorLib.catalog import Model

MAX_FEATURES = 320
_RESAMPLING = "resample_data_or_seg_to_shape"
_TORCH = "torch.nn.modules"

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Kind:
    """How the plans of a model look. Whatever has three values goes along z, y, x.

    :param patch: size of a window in voxels.
    :param features: channels of the first stage; each further stage has twice as many.
    :param strides: of each stage; the first is (1, 1, 1).
    :param kernels: of each stage's convolutions; empty: 3 x 3 x 3.
    :param residual: a residual encoder instead of a plain one.
    :param old_format: plans as written by nnU-Net before 2.4, without ``architecture``.
    :param normalisation: nnU-Net's name of it, without ``Normalization``.
    :param masked: normalise within the voxels that are not zero only.
    :param reader: nnU-Net's class that reads images.
    :param transpose: order in which the network sees the axes z, y, x.
    :param spacing_mm: that of the network, after the transposition; empty: that of the task.
    :param regions: overlapping regions instead of labels; the n-th has all labels from n on.
    :param gaps: numbers of labels with a gap in them.
    :param inherits: the configuration only names another one, and what differs from it.
    :param mirrored: the training allows mirrored windows.
    :param order: of the interpolation of the image.
    """

    patch: tuple[int, int, int]
    features: int
    strides: tuple[tuple[int, int, int], ...]
    kernels: tuple[tuple[int, int, int], ...] = ()
    residual: bool = False
    old_format: bool = False
    normalisation: str = "CT"
    masked: bool = False
    reader: str = "NibabelIOWithReorient"
    transpose: tuple[int, int, int] = (0, 1, 2)
    spacing_mm: Triple | tuple[()] = ()
    regions: bool = False
    gaps: bool = False
    inherits: bool = False
    mirrored: bool = False
    order: int = 3


_ISOTROPIC = ((1, 1, 1), (2, 2, 2), (2, 2, 2))
#: All kinds of plans, by name; above 8 features and 40 voxels a convolution has enough rows for
#: PyTorch to use its other, larger way of computing.
KINDS = {
    "plain": Kind((40, 48, 48), 12, _ISOTROPIC, old_format=True),
    "small": Kind((48, 48, 48), 4, _ISOTROPIC),
    "zscore": Kind((48, 40, 48), 6, _ISOTROPIC, normalisation="ZScore", order=1),
    "masked": Kind((40, 40, 40), 6, _ISOTROPIC, normalisation="ZScore", masked=True),
    "rescaled": Kind((32, 40, 48), 6, _ISOTROPIC, normalisation="RescaleTo01", old_format=True),
    "raw": Kind((40, 40, 40), 6, _ISOTROPIC, normalisation="No", gaps=True),
    "residual": Kind((48, 48, 40), 12, _ISOTROPIC, residual=True),
    "sitk": Kind((40, 40, 40), 6, _ISOTROPIC, reader="SimpleITKIO", transpose=(1, 0, 2)),
    "nibabel": Kind((32, 48, 40), 6, _ISOTROPIC, reader="NibabelIO", transpose=(2, 0, 1)),
    "anisotropic": Kind(
        (12, 56, 48),
        6,
        ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
        ((1, 3, 3), (1, 3, 3), (3, 3, 3)),
        spacing_mm=(6.0, 1.5, 1.5),
        old_format=True,
    ),
    "resampled": Kind((40, 40, 40), 6, _ISOTROPIC, spacing_mm=(2.5, 1.9, 2.1), mirrored=True),
    "inherited": Kind((32, 32, 40), 6, _ISOTROPIC, inherits=True, mirrored=True, old_format=True),
    "regions": Kind((40, 40, 40), 6, _ISOTROPIC, regions=True),
    "resampled_regions": Kind(
        (32, 32, 32), 6, _ISOTROPIC, regions=True, spacing_mm=(4.0, 1.2, 1.2), transpose=(1, 2, 0)
    ),
}


def make_plans(model: Model, kind: Kind) -> dict[str, Any]:
    """``plans.json`` as nnU-Net's planner writes it."""
    spacing = list(kind.spacing_mm or _task_spacing(model, kind))
    whole = _configuration(model, kind, spacing)
    configurations = {model.configuration: whole}
    if kind.inherits:
        parent = f"{model.configuration}_parent"
        own = {"inherits_from": parent, "patch_size": whole["patch_size"]}
        larger = {**whole, "patch_size": [2 * size for size in kind.patch]}
        configurations = {parent: larger, model.configuration: own}
    transpose = list(kind.transpose)
    return {
        "dataset_name": model.folder,
        "plans_name": model.plans,
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": list(kind.patch),
        "image_reader_writer": kind.reader,
        "transpose_forward": transpose,
        "transpose_backward": [transpose.index(axis) for axis in range(3)],
        "configurations": configurations,
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


def make_dataset(labels: Mapping[int, str], kind: Kind) -> dict[str, Any]:
    """``dataset.json``.

    :param labels: value -> structure, from 1 on without gaps.
    """
    values: dict[str, Any] = {"background": 0}
    last = max(labels)
    for value, name in sorted(labels.items()):
        values[name] = 2 * value - 1 if kind.gaps else value
        if kind.regions and value < last:
            values[name] = list(range(value, last + 1))
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": values,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    return {**dataset, "regions_class_order": sorted(labels)} if kind.regions else dataset


def heads(labels: Mapping[int, str], kind: Kind) -> int:
    """The number of channels that the network gives."""
    return len(labels) + (not kind.regions)


def _task_spacing(model: Model, kind: Kind) -> list[float]:
    along_zyx = list(reversed(model.spacing_mm or (1.5, 1.5, 1.5)))
    return [along_zyx[axis] for axis in kind.transpose]


def _configuration(model: Model, kind: Kind, spacing: list[float]) -> dict[str, Any]:
    stages = len(kind.strides)
    resampling = {"is_seg": False, "order": kind.order, "order_z": 0, "force_separate_z": None}
    common = {
        "data_identifier": f"{model.plans}_{model.configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(kind.patch),
        "median_image_size_in_voxels": [float(size) for size in kind.patch],
        "spacing": spacing,
        "normalization_schemes": [
            "NoNormalization"
            if kind.normalisation == "No"
            else f"{kind.normalisation}Normalization"
        ],
        "use_mask_for_norm": [kind.masked],
        "resampling_fn_data": _RESAMPLING,
        "resampling_fn_seg": _RESAMPLING,
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": _RESAMPLING,
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "batch_dice": False,
    }
    kernels = [list(kernel) for kernel in kind.kernels or ((3, 3, 3),) * stages]
    strides = [list(stride) for stride in kind.strides]
    if kind.old_format:
        return {
            **common,
            "UNet_class_name": "ResidualEncoderUNet" if kind.residual else "PlainConvUNet",
            "UNet_base_num_features": kind.features,
            "unet_max_num_features": MAX_FEATURES,
            "n_conv_per_stage_encoder": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "num_pool_per_axis": [sum(s[axis] > 1 for s in strides) for axis in range(3)],
            "pool_op_kernel_sizes": strides,
            "conv_kernel_sizes": kernels,
        }
    class_name = "ResidualEncoderUNet" if kind.residual else "PlainConvUNet"
    architecture = {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{class_name}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(kind.features * 2**s, MAX_FEATURES) for s in range(stages)],
            "conv_op": f"{_TORCH}.conv.Conv3d",
            "kernel_sizes": kernels,
            "strides": strides,
            "n_blocks_per_stage" if kind.residual else "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [1 if kind.residual else 2] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"{_TORCH}.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    return {**common, "architecture": architecture}
