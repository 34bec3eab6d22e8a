"""Any nnU-Net v2 model folder, run by nnU-Net's own predictor."""

import difflib
from pathlib import Path

from ...errors import InputError
from ...jobs import Request
from ..contract import THREADS, EngineSpec, Option
from .model_folder import open_model_folder

PREPARE, PREDICT, WRITE = "Loading the network", "Running the network", "Writing the labels"

SPEC = EngineSpec(
    name="nnunet",
    title="nnU-Net",
    description="Runs any nnU-Net v2 model folder; the demo model is one.",
    options=(
        Option(
            "step_size",
            0.5,
            "Patch overlap",
            "Step between patches as a share of the patch size; larger is faster and rougher.",
            minimum=0.1,
            maximum=1.0,
        ),
        Option("mirroring", False, "Mirroring", "Average over mirrored patches: up to 8x slower."),
        THREADS,
        Option(
            "trust_model",
            False,
            "Trust the model file",
            "Load a checkpoint that holds more than plain weights. It can run any code: "
            "only for files you made yourself.",
            unsafe=True,
        ),
    ),
    stages=((PREPARE, 0.25), (PREDICT, 0.65), (WRITE, 0.1)),
    runs_models=True,
)


def check(request: Request) -> None:
    """A model folder must be one, and must know the structures.

    :raises InputError: ``input.bad_model``, ``input.unsupported_model``, ``input.unknown_speed``,
        ``input.unknown_structure``.
    """
    if not request.model:
        return
    if request.speed != "normal":
        raise InputError(
            "input.unknown_speed", "A model folder has one speed only.", "Leave the speed out."
        )
    names = sorted(open_model_folder(Path(request.model)).label_names.values())
    for unknown in sorted(set(request.structures) - set(names)):
        close = difflib.get_close_matches(unknown, names, n=3)
        raise InputError(
            "input.unknown_structure",
            f"The model has no structure '{unknown}'.",
            f"Did you mean {' or '.join(close)}?" if close else f"It has: {', '.join(names)}.",
        )
