"""Runs an nnU-Net v2 model folder through nnU-Net's own predictor, in this one process."""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from ... import catalog
from ...errors import InputError
from ...images import Image, fingerprint, write_labelmap
from ...jobs import EngineResult
from ..console import ConsoleTap, tqdm_fraction
from ..contract import Reporter, Run
from ..devices import choose_device, cpu_threads, device_title
from . import PREDICT, PREPARE, WRITE
from .checkpoints import load_checkpoint
from .model_folder import ModelFolder, open_model_folder
from .trainers import find_trainer


def run(run: Run) -> EngineResult:
    """Segment ``run.image`` with the model folder of the request, or of its task.

    :raises InputError: ``input.bad_model``, ``input.untrusted_model``, ``input.unsupported_model``.
    """
    with cpu_threads(run.options["threads"]):
        return _run(run)


def _run(run: Run) -> EngineResult:
    path = (
        Path(run.request.model) if run.request.model else catalog.task(run.request.task).model_path
    )
    model = open_model_folder(path)
    device = choose_device(run.request.device)
    with run.report.timed(PREPARE):
        predictor = _predictor(model, device, run.options)
        _warn_about_demo(model, run)
    with run.report.timed(PREDICT):
        labels = _predict(predictor, run.image, run.report)
    with run.report.timed(WRITE):
        names = _selected(model.label_names, run.request.structures)
        labels.array[~np.isin(labels.array, list(names))] = 0
        write_labelmap(labels, run.labels, names)
    return EngineResult(run.labels, names, _provenance(model, device), run.report.timings_s)


def _predictor(model: ModelFolder, device: torch.device, options: Any) -> nnUNetPredictor:
    plans = PlansManager(model.plans)
    checkpoints = [
        load_checkpoint(model.checkpoint(fold), options["trust_model"]) for fold in model.folds
    ]
    first = checkpoints[0]
    configuration = plans.get_configuration(first["init_args"]["configuration"])
    channels = determine_num_input_channels(plans, configuration, model.dataset)
    if channels != 1:
        raise InputError(
            "input.unsupported_model",
            f"The model '{model.path.name}' needs {channels} input images.",
            "Use a model for a single CT or MR volume.",
        )
    network = find_trainer(first["trainer_name"]).build_network_architecture(
        plans,
        configuration,
        channels,
        plans.get_label_manager(model.dataset).num_segmentation_heads,
        enable_deep_supervision=False,
    )
    predictor = nnUNetPredictor(
        tile_step_size=options["step_size"],
        use_mirroring=options["mirroring"],
        device=device,
    )
    predictor.manual_initialization(
        network,
        plans,
        configuration,
        [checkpoint["network_weights"] for checkpoint in checkpoints],
        model.dataset,
        first["trainer_name"],
        first.get("inference_allowed_mirroring_axes"),
    )
    network.load_state_dict(first["network_weights"])
    return predictor


def _predict(predictor: nnUNetPredictor, path: Path, report: Reporter) -> Image:
    """The labelmap of an image file, on the file's own grid (shape (K, J, I))."""
    reader_writer = predictor.plans_manager.image_reader_writer_class()
    array, properties = reader_writer.read_images([str(path)])
    sys.stderr = ConsoleTap(lambda line: _report_patches(line, report))  # type: ignore[assignment]
    segmentation = predictor.predict_single_npy_array(array, properties)
    # The reader may have turned the axes; only its own writer knows how to turn them back.
    turned = path.with_name("nnunet-labels.nii")
    reader_writer.write_seg(segmentation, str(turned), properties)
    image = nibabel.load(turned)
    return Image(np.asanyarray(image.dataobj).T.copy(), np.asarray(image.affine, float))


def _report_patches(line: str, report: Reporter) -> None:
    fraction = tqdm_fraction(line)
    if fraction is None:
        report.log(line)
    else:
        report.progress(fraction)


def _selected(names: dict[int, str], structures: tuple[str, ...]) -> dict[int, str]:
    return {v: name for v, name in names.items() if not structures or name in structures}


def _warn_about_demo(model: ModelFolder, run: Run) -> None:
    card = model.card
    if not card.get("demo"):
        return
    run.report.warn("demo.model", "The demo model knows one CT only: not for any real use.")
    image = nibabel.load(run.image)
    seen = fingerprint(Image(np.asanyarray(image.dataobj).T, np.asarray(image.affine, float)))
    if seen != card["trained_on"]:
        run.report.warn(
            "demo.other_image",
            "This is not the sample CT that the demo model was fitted to: the labels mean nothing.",
        )


def _provenance(model: ModelFolder, device: torch.device) -> dict[str, Any]:
    weights = [model.checkpoint(fold) for fold in model.folds]
    return {
        "engine": "nnunet",
        "versions": {name: version(name) for name in ("nnunetv2", "torch")},
        "model": model.path.name,
        "weights_sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in weights],
        "device": device_title(device),
        "threads": torch.get_num_threads(),
        "demo": bool(model.card.get("demo")),
    }
