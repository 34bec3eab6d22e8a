"""Our own way through nnU-Net: any nnU-Net v2 model folder, and TotalSegmentator's tasks.

Its labels are those of the official packages, to the last voxel, unless a mode is chosen that says
otherwise. What it does not cover it hands to them.
"""

import difflib
from pathlib import Path

from ...errors import InputError
from ...jobs import Request
from ..contract import THREADS, Costs, EngineSpec, Option
from ..totalsegmentator import SPEC as OFFICIAL
from ..totalsegmentator import TASK_OPTIONS
from ..totalsegmentator import check as check_task
from .model_folder import open_model_folder

PREPARE, PREDICT, WRITE = "Loading the network", "Running the network", "Writing the labels"

SPEC = EngineSpec(
    name="nnunet",
    title="nnU-Net, fast",
    description="Runs TotalSegmentator's tasks and any nnU-Net v2 model folder.",
    costs=Costs(
        start_s=2.5,
        network_s=0.3,
        patch_voxel_s=4.1e-6,
        score_s=5e-9,
        image_voxel_s=50e-9,
        own_bytes=0.4e9,
        score_bytes=2.0,
        layered=True,
        image_voxel_bytes=12.0,
    ),
    options=(
        *TASK_OPTIONS,
        Option(
            "body_first",
            False,
            "Body first",
            "Find the body with the 6 mm model, and run the finer models on it only: faster where "
            "there is much air around it. Some labels change.",
            scope="task",
        ),
        Option(
            "step_size",
            0.5,
            "Patch overlap",
            "Step between patches as a share of the patch size; larger is faster and rougher.",
            minimum=0.1,
            maximum=1.0,
            scope="model",
        ),
        Option(
            "mirroring",
            False,
            "Mirroring",
            "Average over mirrored patches: up to 8x slower.",
            scope="model",
        ),
        Option(
            "compiled",
            False,
            "Compiled network",
            "Run the network with OpenVINO on Intel and AMD CPUs: faster. Each model is compared "
            "with the exact way first, and run in that way if they differ.",
        ),
        Option(
            "compiled_agreement",
            0.999,
            "Agreement of the compiled network",
            "Mean Dice, and share of equal voxels, from which on a compiled network is used.",
            minimum=0.0,
            maximum=1.0,
        ),
        THREADS,
        Option(
            "trust_model",
            False,
            "Trust the model file",
            "Load a checkpoint that holds more than plain weights. It can run any code: "
            "only for files you made yourself.",
            unsafe=True,
            scope="model",
        ),
    ),
    stages=((PREPARE, 0.05), (PREDICT, 0.9), (WRITE, 0.05)),
    runs_models=True,
    derived=OFFICIAL.derived,
    lighter=OFFICIAL.lighter,
)


def check(request: Request) -> None:
    """A model folder must be one, and must know the structures.

    :raises InputError: ``input.bad_model``, ``input.unsupported_model``, ``input.unknown_speed``,
        ``input.unknown_structure``.
    """
    if not request.model:
        check_task(request)
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
