"""What NVIDIA's bundle NV-Segment-CTMR does to images, as a configuration for MONAI.

Written from what is known of the bundle, with its own parts replaced by MONAI's. What is wrong in
the original is right here: labels above 254 stay what they are, and weights are always loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engines.monai.reference import Config, evaluation

# The prompts that stand for others.
_PARTS = {
    "2": [14, 5],
    "20": [28, 29, 30, 31, 32],
    "21": [*range(33, 57), *range(63, 98), 114, 120, 122],
}
_BATCH = (
    "$lambda batch, device, non_blocking, **_: (batch['image'].to(device), None, (), "
    "{'class_vector': torch.stack(list(batch['label_prompt'])).to(device), 'transpose': True})"
)


def nv_segment(
    prompts: Mapping[Path, Sequence[int | str]],
    names: Mapping[int, str],
    weights: Path,
    window: Sequence[int],
    *,
    features: int = 48,
    overlap: float = 0.25,
    batch: int = 1,
) -> Config:
    """The configuration for some images.

    :param prompts: for each image.
    :param names: of all prompts.
    :param weights: the checkpoint.
    :param window: voxels (x, y, z).
    :param features: of the network.
    """
    config = evaluation(list(prompts), weights)
    config["dataset"]["data"] = [
        {"image": str(path), "label_prompt": list(asked)} for path, asked in prompts.items()
    ]
    config["evaluator"]["prepare_batch"] = _BATCH
    return {
        "preparing": {"_target_": "Compose", "transforms": _preparing(names)},
        "network": {
            "_target_": "monai.networks.nets.vista3d132",
            "encoder_embed_dim": features,
            "in_channels": 1,
        },
        "inferer": {
            "_target_": "SlidingWindowInfererAdapt",
            "roi_size": list(window),
            "sw_batch_size": batch,
            "overlap": overlap,
            "padding_mode": "replicate",
            "with_coord": True,
        },
        "finishing": {"_target_": "Compose", "transforms": _finishing()},
        **config,
    }


def _preparing(names: Mapping[int, str]) -> list[Config]:
    image = {"keys": "image"}
    return [
        {"_target_": "LoadImaged", **image},
        {"_target_": "EnsureChannelFirstd", **image},
        {"_target_": "EnsureTyped", **image},
        {"_target_": "Spacingd", **image, "pixdim": [1.5, 1.5, 1.5], "mode": "bilinear"},
        {
            "_target_": "CropForegroundd",
            **image,
            "source_key": "image",
            "margin": 10,
            "allow_smaller": True,
        },
        {
            "_target_": "monai.apps.vista3d.transforms.VistaPreTransformd",
            **image,
            "subclass": _PARTS,
            "labels_dict": {str(prompt): name for prompt, name in names.items()},
        },
        {
            "_target_": "ScaleIntensityRangePercentilesd",
            **image,
            "lower": 1,
            "upper": 99,
            "b_min": 0,
            "b_max": 1,
            "clip": True,
        },
        {"_target_": "Orientationd", **image, "axcodes": "RAS"},
        {"_target_": "CastToTyped", **image, "dtype": "$torch.float32"},
    ]


def _finishing() -> list[Config]:
    labels = {"keys": "pred"}
    return [
        {"_target_": "Lambdad", "keys": "label_prompt", "func": "$torch.as_tensor"},
        {"_target_": "monai.apps.vista3d.transforms.VistaPostTransformd", **labels},
        {
            "_target_": "Invertd",
            **labels,
            "transform": "@preparing",
            "orig_keys": "image",
            "nearest_interp": True,
            "to_tensor": True,
        },
        {"_target_": "SaveImaged", **labels, "output_dir": "eval", "output_dtype": "float32"},
    ]
