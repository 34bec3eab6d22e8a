"""MONAI's bundles as their authors run them: ``python -m monai.bundle run`` on a configuration.

The configuration is written here, from what is known of the bundle. It is the reference that our
engine is compared with; in the application nobody evaluates one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parents[4] / ".cache" / "monai-reference"
_REQUIREMENTS = ("pytorch-ignite==0.5.5", "fire==0.7.1", "termcolor==3.3.0")

Config = dict[str, Any]


def run_bundle(python: Path, config: Mapping[str, Any], folder: Path) -> None:
    """Let MONAI run a configuration.

    :param python: the engine environment's.
    :param folder: where the configuration is written, and what else the run writes.
    """
    command, variables = bundle_command(python, config, folder)
    done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"monai.bundle run failed:\n{done.stderr[-3000:]}")


def bundle_command(
    python: Path, config: Mapping[str, Any], folder: Path
) -> tuple[list[str], dict[str, str]]:
    """How MONAI is started in a folder for a configuration, which is written there: the command,
    and its environment variables."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "inference.json"
    path.write_text(json.dumps(config, indent=1), "utf-8")
    # Its child processes find the packages, too.
    variables = {**os.environ, "PYTHONPATH": str(_packages()), "PYTHONWARNINGS": "ignore"}
    return [str(python), "-m", "monai.bundle", "run", "--config_file", str(path)], variables


def output(folder: Path, image: Path) -> Path:
    """Where a run in a folder has written the labels of an image."""
    stem = image.name.removesuffix(".gz").removesuffix(".nii")
    return folder / "eval" / stem / f"{stem}_trans.nii.gz"


def whole_body(
    images: Sequence[Path],
    weights: Path,
    spacing: float,
    *,
    features: int = 32,
    overlap: float = 0.25,
    batch: int = 1,
) -> Config:
    """What wholeBody_ct_segmentation does to images.

    :param weights: the checkpoint.
    :param spacing: of its model in mm.
    :param features: of the first stage of its network.
    """
    return {
        "preparing": {
            "_target_": "Compose",
            "transforms": [
                _step("LoadImaged"),
                _step("EnsureTyped"),
                _step("EnsureChannelFirstd"),
                _step("Orientationd", axcodes="RAS"),
                _step("Spacingd", pixdim=[spacing] * 3, mode="bilinear"),
                _step("NormalizeIntensityd", nonzero=True),
                _step("ScaleIntensityd", minv=-1.0, maxv=1.0),
            ],
        },
        "network": {
            "_target_": "SegResNet",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 105,
            "init_filters": features,
            "blocks_down": [1, 2, 2, 4],
            "blocks_up": [1, 1, 1],
            "dropout_prob": 0.2,
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [96, 96, 96],
            "sw_batch_size": batch,
            "overlap": overlap,
            "padding_mode": "replicate",
            "mode": "gaussian",
            "device": "cpu",
        },
        "finishing": {
            "_target_": "Compose",
            "transforms": [
                _step("Activationsd", "pred", softmax=True),
                _step("AsDiscreted", "pred", argmax=True),
                _step(
                    "Invertd",
                    "pred",
                    transform="@preparing",
                    orig_keys="image",
                    nearest_interp=True,
                    to_tensor=True,
                ),
                _step("SaveImaged", "pred", output_dir="eval", output_dtype="float32"),
            ],
        },
        **evaluation(images, weights),
    }


def evaluation(images: Sequence[Path], weights: Path) -> Config:
    """What runs ``network`` with ``inferer`` between ``preparing`` and ``finishing``."""
    return {
        "dataset": {
            "_target_": "Dataset",
            "data": [{"image": str(path)} for path in images],
            "transform": "@preparing",
        },
        "loader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 1,
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "cpu",
            "val_data_loader": "@loader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@finishing",
            "amp": True,
        },
        "weights": {
            "_target_": "CheckpointLoader",
            "load_path": str(weights),
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$@weights(@evaluator)"],
        "run": ["$@evaluator.run()"],
    }


def _step(name: str, key: str = "image", **arguments: Any) -> Config:
    return {"_target_": name, "keys": key, **arguments}


def _packages() -> Path:
    """What ``monai.bundle run`` needs besides MONAI; installed once."""
    if not (PACKAGES / "ignite").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(PACKAGES), *_REQUIREMENTS], check=True)
    return PACKAGES
