#!/usr/bin/env python3
"""Fit the demo model: a small nnU-Net that knows one CT by heart.

The extension has to show a real run of a real engine on a computer without the official weights.
This script fits a small network to the public sample CT and the labels that the official models
gave for it, and writes it as an ordinary nnU-Net v2 model folder. Remembering one image is the
purpose: the model is worthless for any other image.

It runs in the engine environment (torch, nnunetv2); on two CPU cores it takes about an hour:

    python Tools/fit_demo_model.py
    python Tools/fit_demo_model.py --evaluate     # only measure the model and rewrite its card

A run that was ended continues from its own snapshot when it is started again. With glibc, most of
the time goes into giving memory back and getting it anew; this makes it more than twice as fast:

    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=500000000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from acvl_utils.cropping_and_padding.padding import pad_nd_image
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "TotalSegmentator"))

from TotalSegmentatorLib.environment import sample_data  # noqa: E402

NAME = "TotalSegmentatorDemo"
CONFIGURATION = "3d_fullres"
SPACING_MM = 3.0
FEATURES = (16, 32, 64, 128, 128)
MAXIMUM_BYTES = 8 * 1024 * 1024
SMOOTHING = 1.0  # voxels; keeps the Dice loss of tiny structures finite


@dataclass(frozen=True)
class Settings:
    """What decides the outcome of a fit; sizes in voxels (K, J, I).

    :param minimum_voxels: smaller structures of the reference are left to the background.
    :param crop_steps: first steps, on random crops: cheap, and the network learns texture.
    :param patch_steps: last steps, on the very patch that nnU-Net will infer, so that the
        statistics of instance normalisation are those of inference.
    :param noise: standard deviation of added noise, in units of the normalised image.
    """

    seed: int = 2026
    minimum_voxels: int = 400
    crop: tuple[int, int, int] = (80, 80, 80)
    patch: tuple[int, int, int] = (112, 112, 128)
    crop_steps: int = 600
    patch_steps: int = 900
    peak_rate: float = 3e-3
    weight_decay: float = 1e-4
    noise: float = 0.05
    bfloat16: bool = True


@dataclass(frozen=True)
class Case:
    """The sample CT as nnU-Net reads it: RAS order, axes (K, J, I).

    :param image: (1, K, J, I) float32, HU.
    :param reference: (K, J, I) int64, official values of the task ``total``.
    :param properties: the reader's own, handed back to nnU-Net.
    """

    image: np.ndarray
    reference: np.ndarray
    properties: dict[str, Any]


# ---------------------------------------------------------------------------------------- data


def read_case(files: sample_data.SampleData) -> Case:
    reader = NibabelIOWithReorient()
    image, properties = reader.read_images((str(files.ct),))
    reference, _ = reader.read_seg(str(files.reference))
    return Case(image, reference[0].astype(np.int64), properties)


def choose_structures(reference: np.ndarray, minimum_voxels: int) -> dict[int, str]:
    """Official value -> class name of the structures with enough voxels, in official order."""
    from totalsegmentator.map_to_binary import class_map

    values, voxels = np.unique(reference, return_counts=True)
    names: Mapping[int, str] = class_map["total"]
    found = zip(values.tolist(), voxels.tolist(), strict=True)
    return {value: names[value] for value, n in found if value and n >= minimum_voxels}


def to_demo_labels(reference: np.ndarray, structures: Mapping[int, str]) -> np.ndarray:
    """Renumber to 1..N in official order; everything else becomes background."""
    table = np.zeros(int(reference.max()) + 1, dtype=np.int64)
    for label, value in enumerate(structures, start=1):
        table[value] = label
    return table[reference]


# --------------------------------------------------------------------------------- model folder


def make_dataset(structures: Mapping[int, str]) -> dict[str, Any]:
    labels = {name: label for label, name in enumerate(structures.values(), start=1)}
    return {
        "name": NAME,
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **labels},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }


def intensity_properties(image: np.ndarray, foreground: np.ndarray) -> dict[str, float]:
    """nnU-Net's fingerprint of the intensities: statistics over the labelled voxels, in HU."""
    values = image[0][foreground].astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))
    properties = {"max": values.max(), "mean": values.mean(), "median": np.median(values)}
    properties |= {"min": values.min(), "std": values.std()}
    properties |= {"percentile_00_5": low, "percentile_99_5": high}
    return {key: round(float(value), 4) for key, value in properties.items()}


def make_architecture() -> dict[str, Any]:
    stages = len(FEATURES)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(FEATURES),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def make_configuration(patch: Sequence[int], shape: Sequence[int]) -> dict[str, Any]:
    resample = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"nnUNetPlans_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": list(patch),
        "median_image_size_in_voxels": [float(size) for size in shape],
        "spacing": [SPACING_MM] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {**resample, "order": 3},
        "resampling_fn_seg_kwargs": {**resample, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resample, "order": 1},
        "architecture": make_architecture(),
        "batch_dice": False,
    }


def make_plans(case: Case, foreground: np.ndarray, patch: Sequence[int]) -> dict[str, Any]:
    shape = list(case.reference.shape)
    return {
        "dataset_name": NAME,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [SPACING_MM] * 3,
        "original_median_shape_after_transp": shape,
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: make_configuration(patch, shape)},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": intensity_properties(case.image, foreground)
        },
    }


def build_network(plans: dict[str, Any], n_labels: int) -> nn.Module:
    configuration = PlansManager(plans).get_configuration(CONFIGURATION)
    return get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        n_labels,
        deep_supervision=False,
    )


def half_precision(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights as float16; tensors that share memory still do, so that they are stored once."""
    shared: dict[int, torch.Tensor] = {}
    halves = {}
    for key, tensor in weights.items():
        half = shared.setdefault(tensor.data_ptr(), tensor.detach().half().contiguous())
        halves[key] = half
    return halves


def make_checkpoint(fit: Fit, plans: dict[str, Any]) -> dict[str, Any]:
    """The keys that nnU-Net reads, and ``fit``: how the model was made.

    Plain values only, so that ``torch.load(..., weights_only=True)`` accepts the file.
    """
    return {
        "network_weights": half_precision(fit.network.state_dict()),
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
        "current_epoch": fit.done,
        "init_args": {"configuration": CONFIGURATION, "fold": 0, "plans": plans},
        "fit": {
            "settings": asdict(fit.settings),
            "minutes": round(fit.seconds / 60, 1),
            "torch": str(torch.__version__),
        },
    }


def checkpoint_path(model: Path) -> Path:
    return model / "fold_0" / "checkpoint_final.pth"


def write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)


def save_whole(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    torch.save(content, part)
    os.replace(part, path)


def write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")


# ------------------------------------------------------------------------------------- fitting


def preprocess(case: Case, plans: dict[str, Any], dataset: dict[str, Any]) -> np.ndarray:
    """The image as nnU-Net's own preprocessor hands it to the network: (1, K, J, I)."""
    manager = PlansManager(plans)
    properties = {"spacing": case.properties["spacing"]}
    configuration = manager.get_configuration(CONFIGURATION)
    data, _, _ = DefaultPreprocessor(verbose=False).run_case_npy(
        case.image, None, properties, manager, configuration, dataset
    )
    if data.shape != case.image.shape:
        raise SystemExit("The sample CT must not be cropped or resampled by nnU-Net.")
    return np.asarray(data, dtype=np.float32)


def region_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy plus the soft Dice loss of the labels that are present.

    :param logits: (1, C, K, J, I).
    :param labels: (K, J, I) int64.
    """
    n_labels = logits.shape[1]
    scores = logits.permute(0, 2, 3, 4, 1).reshape(-1, n_labels).float()
    log_probability = torch.log_softmax(scores, dim=1)
    truth = labels.reshape(-1)
    log_of_truth = log_probability.gather(1, truth[:, None])[:, 0]
    overlap = torch.zeros(n_labels).index_add(0, truth, log_of_truth.exp())
    voxels = torch.bincount(truth, minlength=n_labels)
    claimed = log_probability.exp().sum(dim=0)
    dice = (2 * overlap + SMOOTHING) / (claimed + voxels + SMOOTHING)
    present = voxels > 0
    return -log_of_truth.mean() + 1 - dice[present].mean()


def disturb(image: torch.Tensor, noise: float) -> torch.Tensor:
    """A little noise, gain and offset, so that a resampled copy of the CT is still recognised."""
    gain, offset = 1 + noise * torch.randn(1), noise * torch.randn(1)
    return image * gain + offset + noise * torch.rand(1) * torch.randn_like(image)


class Fit:
    """State of a fit: network, optimiser, schedule and the number of steps done."""

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        self.settings = settings
        self.network = network.to(memory_format=torch.channels_last_3d)
        self.steps = settings.crop_steps + settings.patch_steps
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.peak_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.peak_rate, total_steps=self.steps + 1, pct_start=0.1
        )
        self.done = 0
        self.seconds = 0.0

    def sample(
        self, image: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Image (1, 1, K, J, I) and labels (K, J, I) of the next step, from the padded patch."""
        if self.done >= self.settings.crop_steps:
            # The last half of these steps sees exactly what inference will show.
            clean = self.done >= self.steps - self.settings.patch_steps // 2
            return (image if clean else disturb(image, self.settings.noise))[None], labels
        sizes = zip(labels.shape, self.settings.crop, strict=True)
        starts = [random.randint(0, full - part) for full, part in sizes]
        window = tuple(
            slice(start, start + part)
            for start, part in zip(starts, self.settings.crop, strict=True)
        )
        return disturb(image[(..., *window)], self.settings.noise)[None], labels[window]

    def step(self, image: torch.Tensor, labels: torch.Tensor) -> float:
        """One step on one crop or patch; the loss."""
        x, y = self.sample(image, labels)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bfloat16):
            logits = self.network(x.contiguous(memory_format=torch.channels_last_3d))
        loss = region_loss(logits, y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.schedule.step()
        self.done += 1
        return float(loss.detach())

    def snapshot(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "done": self.done,
            "seconds": self.seconds,
            "torch_random": torch.get_rng_state(),
            "python_random": random.getstate(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        if snapshot["settings"] != asdict(self.settings):
            raise SystemExit("The snapshot belongs to other settings: delete it to start anew.")
        self.network.load_state_dict(snapshot["network"])
        self.optimizer.load_state_dict(snapshot["optimizer"])
        self.schedule.load_state_dict(snapshot["schedule"])
        self.done, self.seconds = snapshot["done"], snapshot["seconds"]
        torch.set_rng_state(snapshot["torch_random"])
        random.setstate(snapshot["python_random"])


def run_fit(fit: Fit, image: np.ndarray, labels: np.ndarray, snapshot: Path) -> None:
    """Fit to the end; the state goes to ``snapshot`` every 50 steps."""
    patch = fit.settings.patch
    # Zero padding of the normalised image is what nnU-Net's sliding window does as well.
    padded = torch.from_numpy(pad_nd_image(image, patch, "constant", {"constant_values": 0}))
    truth = torch.from_numpy(pad_nd_image(labels, patch, "constant", {"constant_values": 0}))
    fit.network.train()
    losses: list[float] = []
    started = time.monotonic()
    while fit.done < fit.steps:
        losses.append(fit.step(padded, truth))
        if fit.done % 25 == 0:
            rate = (time.monotonic() - started) / len(losses)
            recent = sum(losses[-25:]) / len(losses[-25:])
            print(f"step {fit.done}/{fit.steps}  loss {recent:.4f}  {rate:.2f} s/step", flush=True)
        if fit.done % 50 == 0 or fit.done == fit.steps:
            fit.seconds += time.monotonic() - started
            started = time.monotonic()
            losses.clear()
            save_whole(snapshot, fit.snapshot())


def fit_model(model: Path, case: Case, settings: Settings, snapshot: Path) -> None:
    """Fit and write the model folder, without its card."""
    torch.manual_seed(settings.seed)
    random.seed(settings.seed)
    structures = choose_structures(case.reference, settings.minimum_voxels)
    labels = to_demo_labels(case.reference, structures)
    dataset = make_dataset(structures)
    plans = make_plans(case, labels > 0, settings.patch)
    fit = Fit(build_network(plans, len(structures) + 1), settings)
    if snapshot.exists():
        fit.restore(torch.load(snapshot, weights_only=False))
        print(f"Continuing after step {fit.done} of {snapshot}.")
    run_fit(fit, preprocess(case, plans, dataset), labels, snapshot)
    write_json(model / "dataset.json", dataset)
    write_json(model / "plans.json", plans)
    save_whole(checkpoint_path(model), make_checkpoint(fit, plans))


# ---------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class Evaluation:
    """What stock nnU-Net made of the model folder on the sample CT.

    :param dice: class name -> Dice coefficient.
    :param seconds: wall time of preprocessing, network and export.
    """

    dice: Mapping[str, float]
    seconds: float

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.dice.values())))


def load_predictor(model: Path) -> nnUNetPredictor:
    """Stock predictor on the written folder.

    It is initialised by hand: its search for the trainer class imports every trainer there is.
    """
    plans = json.loads((model / "plans.json").read_text(encoding="utf-8"))
    dataset = json.loads((model / "dataset.json").read_text(encoding="utf-8"))
    checkpoint = torch.load(checkpoint_path(model), map_location="cpu", weights_only=True)
    manager = PlansManager(plans)
    network = build_network(plans, len(dataset["labels"]))
    network.load_state_dict(checkpoint["network_weights"])
    predictor = nnUNetPredictor(
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.manual_initialization(
        network,
        manager,
        manager.get_configuration(checkpoint["init_args"]["configuration"]),
        [checkpoint["network_weights"]],
        dataset,
        checkpoint["trainer_name"],
        checkpoint["inference_allowed_mirroring_axes"],
    )
    return predictor


def evaluate(model: Path, case: Case) -> Evaluation:
    """Segment the sample CT with stock nnU-Net and compare with the official labels."""
    predictor = load_predictor(model)
    names = {label: name for name, label in predictor.dataset_json["labels"].items() if label}
    started = time.monotonic()
    found = predictor.predict_single_npy_array(case.image, {"spacing": case.properties["spacing"]})
    seconds = time.monotonic() - started
    values = choose_structures(case.reference, 1)
    numbers = {name: value for value, name in values.items()}
    dice = {}
    for label, name in names.items():
        a, b = found == label, case.reference == numbers[name]
        dice[name] = 2 * int((a & b).sum()) / max(int(a.sum()) + int(b.sum()), 1)
    return Evaluation(dice, seconds)


# ---------------------------------------------------------------------------------- model card


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_card(model: Path, evaluation: Evaluation, image: Path) -> dict[str, Any]:
    from TotalSegmentatorLib.images import fingerprint, read_image

    checkpoint = checkpoint_path(model)
    source = f"{sample_data.PACKAGE} {sample_data.VERSION} source archive, tests/reference_files"
    return {
        "name": NAME,
        "demo": True,
        "purpose": "Demonstration only: it knows one public CT by heart. Not for any real use.",
        "license": sample_data.LICENSE,
        "trained_on": fingerprint(read_image(image)[0]),
        "source": source,
        "image": {"file": sample_data.MEMBERS["ct"][0], "sha256": sample_data.MEMBERS["ct"][1]},
        "labels": {
            "file": sample_data.MEMBERS["reference"][0],
            "sha256": sample_data.MEMBERS["reference"][1],
            "made_by": "the official fast model of the task total, not by people",
        },
        "checkpoint": {
            "file": checkpoint.relative_to(model).as_posix(),
            "sha256": sha256(checkpoint),
            "bytes": checkpoint.stat().st_size,
            "precision": "float16",
        },
        "made_by": {
            "script": "Tools/fit_demo_model.py",
            "command": "python Tools/fit_demo_model.py",
            **torch.load(checkpoint, map_location="cpu", weights_only=True)["fit"],
        },
        "mean_dice": round(evaluation.mean, 4),
        "dice": {name: round(value, 4) for name, value in evaluation.dice.items()},
    }


README = """# Demo model

**For demonstration only. Do not use it for any image of your own, and never for patients.**

This small nnU-Net (v2, PlainConvUNet, {parameters:.1f} million parameters, float16) was fitted to
*one* public CT until it knew that CT by heart. With it the extension can show a real run of a real
engine on a computer that has no official weights. On any other image its output means nothing;
the extension compares `trained_on` in `model_card.json` with the image and warns. Even a cropped
or moved copy of the same CT is not recognised: the network knows the whole picture.

| | |
|---|---|
| Image | `{image}`, abdomen and pelvis, 122 x 101 x 112 voxels of 3 mm |
| Labels | `{labels}`, made by the official fast model of the task `total`, not by people |
| Source of both | {source}; {license} |
| License of the model | {license} |
| Structures | {count}, named as in the task `total`, numbered 1 to {count} in `dataset.json` |
| Input | CT in HU, reoriented to RAS, 3 mm isotropic, patch {patch} (K, J, I) |
| Left out | structures of fewer than {minimum} voxels: they count as background |
| Made by | `{command}` (seed {seed}, torch {torch}, {minutes} minutes on a CPU with two threads) |
| SHA-256 of the checkpoint | `{digest}` |

Dice coefficients against those labels, on that same CT, through stock nnU-Net v2. They measure
memory, not quality: there is no test image.

| Structure | Dice |
|---|---|
{rows}
| **mean** | **{mean:.3f}** |
"""


def make_readme(card: Mapping[str, Any], parameters: int) -> str:
    rows = [f"| {name} | {value:.3f} |" for name, value in card["dice"].items()]
    made_by = card["made_by"]
    return README.format(
        parameters=parameters / 1e6,
        image=card["image"]["file"],
        labels=card["labels"]["file"],
        source=card["source"],
        license=card["license"],
        count=len(rows),
        patch=" x ".join(str(size) for size in made_by["settings"]["patch"]),
        minimum=made_by["settings"]["minimum_voxels"],
        command=made_by["command"],
        seed=made_by["settings"]["seed"],
        torch=made_by["torch"],
        minutes=made_by["minutes"],
        digest=card["checkpoint"]["sha256"],
        rows="\n".join(rows),
        mean=card["mean_dice"],
    )


def report(model: Path, case: Case, image: Path) -> None:
    """Measure the written model; write its card and README, and print the table."""
    evaluation = evaluate(model, case)
    for name, value in evaluation.dice.items():
        print(f"{value:.3f}  {name}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"mean {evaluation.mean:.4f}, worst {min(evaluation.dice.values()):.4f}")
    print(f"{evaluation.seconds:.1f} s for the image; peak of this process {memory:.1f} GiB")
    size = checkpoint_path(model).stat().st_size
    if size > MAXIMUM_BYTES:
        raise SystemExit(f"The checkpoint is too large for the repository: {size} bytes.")
    card = make_card(model, evaluation, image)
    write_json(model / "model_card.json", card)
    parameters = sum(p.numel() for p in load_predictor(model).network.parameters())
    write_whole(model / "README.md", make_readme(card, parameters))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--model",
        type=Path,
        default=REPOSITORY / "TotalSegmentator" / "Resources" / "Models" / "Demo",
        help="model folder to write",
    )
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".cache" / "sample")
    parser.add_argument("--snapshot", type=Path, default=REPOSITORY / ".cache" / "demo_fit.pt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--crop-steps", type=int, default=Settings.crop_steps)
    parser.add_argument("--patch-steps", type=int, default=Settings.patch_steps)
    parser.add_argument(
        "--float32", action="store_true", help="no bfloat16: for processors that lack it"
    )
    parser.add_argument("--evaluate", action="store_true", help="only measure and rewrite the card")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    settings = Settings(
        seed=arguments.seed,
        crop_steps=arguments.crop_steps,
        patch_steps=arguments.patch_steps,
        bfloat16=not arguments.float32,
    )
    files = sample_data.sample_ct(arguments.cache, print)
    case = read_case(files)
    if not arguments.evaluate:
        fit_model(arguments.model, case, settings, arguments.snapshot)
    report(arguments.model, case, files.ct)


if __name__ == "__main__":
    main()
