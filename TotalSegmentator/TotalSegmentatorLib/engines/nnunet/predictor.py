"""nnU-Net's own predictor, in this one process: for models that this engine does not cover."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from ...errors import InputError
from ...images import Image
from ..console import ConsoleTap, tqdm_fraction
from ..contract import Reporter, Run
from ..trainers import find_trainer
from .checkpoints import load_checkpoint
from .model_folder import ModelFolder
from .network import check_classes


def predict_officially(model: ModelFolder, run: Run, device: torch.device) -> Image:
    """The labelmap of ``run.image``, on its own grid (shape (K, J, I)).

    :raises InputError: ``input.untrusted_model``, ``input.unsupported_model``.
    """
    if not run.options["trust_model"]:
        check_classes(model.plans)
    return _predict(_predictor(model, device, run.options), run.image, run.report)


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
