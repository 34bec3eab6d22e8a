"""What ``plans.json`` and ``dataset.json`` say about one trained configuration, as values.

nnU-Net's plans name Python classes and functions of its own. Those that are known here stand for
mathematics that this engine has; whatever else is named raises :class:`NotCovered`, and the
official packages run the model instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Axes = tuple[int, int, int]
_RESAMPLING = "resample_data_or_seg_to_shape"
_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")
# What layers may be made of, all of ``torch.nn``: plans could name any function.
_LAYERS = (
    *("Conv3d", "InstanceNorm3d", "BatchNorm3d", "Dropout3d"),
    *("LeakyReLU", "ReLU", "PReLU", "ELU", "GELU", "SiLU"),
)
_NORMALISATIONS = (
    "CTNormalization",
    "ZScoreNormalization",
    "RescaleTo01Normalization",
    "NoNormalization",
)
# Trainers that change how a network is trained, not how it is built or used.
_TRAINER = re.compile(
    r"nnUNetTrainer(_?\d+epochs?|_?NoMirroring|_?onlyMirror01|_?DASegOrd0|_?DiceTopK10Loss"
    r"|_?SkeletonRecall|_MOSAIC_1k_QuarterLR)*"
)


class NotCovered(Exception):
    """Something in a model that this engine has no mathematics for; the text says what."""


@dataclass(frozen=True)
class Resampling:
    """How nnU-Net resamples between the spacing of an image and that of the plans.

    :param order: of the splines.
    :param order_z: of the splines along the axis of low resolution, where it is done apart.
    :param force_separate_z: whether it is done apart; None: where the spacing is anisotropic.
    """

    order: int
    order_z: int
    force_separate_z: bool | None


@dataclass(frozen=True)
class Normalisation:
    """How intensities are normalised.

    :param scheme: nnU-Net's class name.
    :param use_mask: whether only voxels inside the non-zero region count.
    :param intensities: ``mean``, ``std``, ``percentile_00_5`` and ``percentile_99_5`` of the
        training data's foreground, as the plans give them; empty for schemes without them.
    """

    scheme: str
    use_mask: bool
    intensities: Mapping[str, float] = field(hash=False)


@dataclass(frozen=True)
class Heads:
    """What the channels of the network's output stand for.

    :param count: number of channels.
    :param regions: label values of overlapping regions, in the order in which they are painted;
        empty if the channels compete and their number is the label.
    :param wide: whether labels need 16 bits.
    """

    count: int
    regions: tuple[int, ...]
    wide: bool


@dataclass(frozen=True)
class Plans:
    """One configuration of a model; axes are (z, y, x) after ``transpose_forward``.

    :param patch: size of a window in voxels.
    :param spacing: of the images that the network was trained on, in mm.
    :param forward: order of the axes (z, y, x) in which the network sees an image.
    :param backward: the order that undoes it.
    :param reorients: whether images are turned to RAS axes first.
    :param network: class of the network.
    :param arguments: its arguments; classes are named as in ``torch.nn``.
    :param classes: the arguments that are such names.
    """

    patch: Axes
    spacing: tuple[float, float, float]
    forward: Axes
    backward: Axes
    reorients: bool
    normalisation: Normalisation
    data: Resampling
    logits: Resampling
    heads: Heads
    network: str
    arguments: Mapping[str, Any] = field(hash=False, repr=False)
    classes: tuple[str, ...] = field(repr=False)


def read_plans(plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str) -> Plans:
    """The plans of one configuration.

    :param plans: the content of ``plans.json``.
    :param dataset: the content of ``dataset.json``.
    :raises NotCovered: if they ask for something unknown, or have another form.
    """
    try:
        return _read(plans, dataset, configuration)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise NotCovered(f"plans of an unknown form ({type(error).__name__}: {error})") from error


def check_trainer(name: str) -> None:
    """
    :raises NotCovered: if models of this trainer may be built or used in a way of their own.
    """
    if not _TRAINER.fullmatch(name):
        raise NotCovered(f"the trainer {name}")


def _read(plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str) -> Plans:
    values = _configuration(plans["configurations"], configuration)
    channels = dataset.get("modality") or dataset["channel_names"]
    patch, spacing = tuple(values["patch_size"]), tuple(float(mm) for mm in values["spacing"])
    reader = plans["image_reader_writer"]
    for covered, what in (
        (len(channels) == 1, "several input images"),
        (len(patch) == len(spacing) == 3, "a network for single slices"),
        (values.get("previous_stage") is None, "a cascade of configurations"),
        (values["preprocessor_name"] == "DefaultPreprocessor", values["preprocessor_name"]),
        (plans.get("label_manager", "LabelManager") == "LabelManager", "a label manager"),
        (reader in ("NibabelIO", "NibabelIOWithReorient", "SimpleITKIO"), reader),
    ):
        if not covered:
            raise NotCovered(what)
    network, arguments, classes = _architecture(values)
    return Plans(
        patch,
        spacing,
        tuple(plans["transpose_forward"]),
        tuple(plans["transpose_backward"]),
        reader == "NibabelIOWithReorient",
        _normalisation(values, _intensities(plans)),
        _resampling(values, "data"),
        _resampling(values, "probabilities"),
        _heads(dataset),
        network,
        arguments,
        classes,
    )


def _configuration(all: Mapping[str, Any], name: str) -> dict[str, Any]:
    values = dict(all[name])
    parent = values.pop("inherits_from", None)
    return {**_configuration(all, parent), **values} if parent else values


def _intensities(plans: Mapping[str, Any]) -> Mapping[str, Any]:
    name = "foreground_intensity_properties_per_channel"
    older = "foreground_intensity_properties_by_modality"
    return plans[name if name in plans else older]


def _normalisation(values: Mapping[str, Any], intensities: Mapping[str, Any]) -> Normalisation:
    (scheme,) = values["normalization_schemes"]
    if scheme not in _NORMALISATIONS:
        raise NotCovered(f"the normalisation {scheme}")
    (use_mask,) = values["use_mask_for_norm"]
    used = intensities["0"] if scheme == "CTNormalization" else {}
    return Normalisation(scheme, bool(use_mask), used)


def _resampling(values: Mapping[str, Any], what: str) -> Resampling:
    name = values[f"resampling_fn_{what}"]
    if name != _RESAMPLING:
        raise NotCovered(f"the resampling {name}")
    given = dict(values[f"resampling_fn_{what}_kwargs"])
    if given.pop("is_seg", False):
        raise NotCovered("scores resampled as labels")
    return Resampling(
        given.pop("order", 3),
        given.pop("order_z", 0),
        given.pop("force_separate_z", False),
        **given,
    )


def _heads(dataset: Mapping[str, Any]) -> Heads:
    labels = {name: value for name, value in dataset["labels"].items() if name != "ignore"}
    values = {v for value in labels.values() for v in _as_list(value)}
    wide = len(values - {0}) >= 255
    if any(len(_as_list(value)) > 1 for value in labels.values()):
        order = tuple(int(value) for value in dataset["regions_class_order"])
        count = sum(set(_as_list(value)) != {0} for value in labels.values())
        if len(order) != count:
            raise NotCovered("regions without an order")
        return Heads(count, order, wide)
    return Heads(len(values), (), wide)


def _as_list(value: int | Sequence[int]) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)]


def _architecture(values: Mapping[str, Any]) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """The network's class name, its arguments, and which of these name classes."""
    if "architecture" in values:
        given = values["architecture"]
        name = given["network_class_name"].split(".")[-1]
        arguments, classes = dict(given["arch_kwargs"]), tuple(given["_kw_requires_import"])
    else:
        name = values["UNet_class_name"]
        arguments, classes = _former_arguments(values, name), ("conv_op", "norm_op", "nonlin")
    if name not in _NETWORKS:
        raise NotCovered(f"the network {name}")
    arguments.pop("deep_supervision", None)
    for one in classes:
        if arguments.get(one) is not None:
            arguments[one] = _layer(arguments[one])
    return name, arguments, classes


def _layer(path: str) -> str:
    """The class in ``torch.nn`` that a dotted path names."""
    name = path.split(".")[-1]
    if not path.startswith("torch.nn.") or name not in _LAYERS:
        raise NotCovered(f"the layer {path}")
    return name


def _former_arguments(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The arguments that plans of nnU-Net before 2.5 imply."""
    stages = len(values["n_conv_per_stage_encoder"])
    first, most = values["UNet_base_num_features"], values["unet_max_num_features"]
    depth = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "n_stages": stages,
        "features_per_stage": [min(first * 2**stage, most) for stage in range(stages)],
        "conv_op": "torch.nn.Conv3d",
        "kernel_sizes": values["conv_kernel_sizes"],
        "strides": values["pool_op_kernel_sizes"],
        depth: values["n_conv_per_stage_encoder"],
        "n_conv_per_stage_decoder": values["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": "torch.nn.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
