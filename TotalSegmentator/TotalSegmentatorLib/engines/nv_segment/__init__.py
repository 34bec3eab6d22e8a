"""NVIDIA's NV-Segment-CTMR: one network for CT and MR that finds what it is asked for.

It is MONAI's VISTA3D with the way through an image that NVIDIA's bundle describes, without running
any code of a bundle. Its labels are those of ``monai.bundle run``, to the last voxel.
"""

from __future__ import annotations

from ...catalog import Task
from ...errors import InputError
from ...jobs import Request
from ..contract import (
    BATCH,
    OVERLAP,
    THREADS,
    WEIGHTS,
    Costs,
    EngineSpec,
    Lighter,
    NetworkWork,
    Option,
)
from .prompts import prompts_for, structures

__all__ = ["SPEC", "check", "networks", "structures"]

PREPARE, BRAIN = "Loading the network", "Preparing the brain"
PREDICT, WRITE = "Running the network", "Writing the labels"
BRAIN_TASK = "nv_mri_brain"
SPACING_MM = 1.5
#: Sizes of windows (x, y, z): the network halves them four times, so all are multiples of 16.
WINDOWS = ("192x192x128", "128x128x128", "128x128x96", "96x96x96")
FEATURES = 48
# So many times longer a window takes than in nnU-Net's plain network of as many features: one of
# 192 x 192 x 128 voxels took two cores 213 s.
_TIMES_PLAIN = 10.0
#: So many structures are asked for together however little memory there is.
FEWEST_AT_ONCE = 8

SPEC = EngineSpec(
    name="nv_segment",
    title="NV-Segment-CTMR",
    description="NVIDIA's network for CT and MR, with weights for non-commercial use.",
    costs=Costs(
        start_s=8.0,
        network_s=3.0,
        patch_voxel_s=4e-6,
        score_s=4e-9,
        image_voxel_s=0.5e-6,
        own_bytes=1.5e9,
        score_bytes=4.0,
        layered=True,
        image_voxel_bytes=24.0,
    ),
    options=(
        Option(
            "window",
            WINDOWS[0],
            "Window",
            "Voxels that the network sees at once. Smaller ones need less memory, and change the "
            "labels.",
            choices=WINDOWS,
        ),
        OVERLAP,
        BATCH,
        Option(
            "prompt_batch",
            0,
            "Structures at once",
            "Structures that are asked for together; the image is gone over again for the next "
            "ones. 0: as many as the memory allows.",
            minimum=0,
            maximum=512,
        ),
        WEIGHTS,
        Option(
            "tensorrt",
            False,
            "TensorRT",
            "Run the network's encoder with TensorRT, on NVIDIA GPUs where it is installed: "
            "faster. Some labels change.",
        ),
        Option(
            "brain_mask",
            "",
            "Mask of the brain",
            "Labelmap of the brain on the grid of the image; what lies outside is removed.",
            path=True,
            tasks=(BRAIN_TASK,),
        ),
        Option(
            "skull_strip",
            "",
            "Command that removes the skull",
            "Command line with {input} and {output} or {mask} in it, such as that of SynthStrip "
            "or HD-BET.",
            unsafe=True,
            tasks=(BRAIN_TASK,),
        ),
        Option(
            "template",
            "",
            "Template of the brain",
            "Image of a brain that this one is aligned to first, such as that of LUMIR.",
            path=True,
            tasks=(BRAIN_TASK,),
        ),
        Option(
            "prepared",
            False,
            "The image is prepared",
            "The image is a brain without its skull, with intensities from 0 to 1, and is "
            "taken as it is.",
            tasks=(BRAIN_TASK,),
        ),
        THREADS,
    ),
    stages=((PREPARE, 0.05), (BRAIN, 0.05), (PREDICT, 0.85), (WRITE, 0.05)),
    lighter=tuple(
        Lighter({"window": window}, f"with windows of {window} voxels (option window)")
        for window in WINDOWS[1:]
    ),
)


def check(request: Request) -> None:
    """Options that exclude each other.

    :raises InputError: ``input.bad_option``.
    """
    options = request.options
    if options.get("brain_mask") and options.get("skull_strip"):
        raise InputError(
            "input.bad_option",
            "Options brain_mask and skull_strip are both given, but only one can be used.",
            "Give one of them.",
        )
    steps = [name for name in ("brain_mask", "skull_strip", "template") if options.get(name)]
    if options.get("prepared") and steps:
        raise InputError(
            "input.bad_option",
            f"Option prepared is given, and so is {steps[0]}: a prepared image is taken as it is.",
            "Give one of them.",
        )


def networks(request: Request, task: Task) -> tuple[NetworkWork, ...]:
    """What a run computes. How many structures are asked for together depends on the memory that
    there is, so the fewest are told here."""
    options = SPEC.parse_options(request.options)
    at_once = options["prompt_batch"] or FEWEST_AT_ONCE
    return (
        NetworkWork(
            patch=window_size(str(options["window"])),
            spacing=(SPACING_MM,) * 3,
            classes=min(int(at_once), len(prompts_for(task, request.structures))),
            features=FEATURES,
            folds=_TIMES_PLAIN,
            step=1 - float(options["overlap"]),
        ),
    )


def window_size(text: str) -> tuple[int, int, int]:
    """The voxels (x, y, z) of one of :data:`WINDOWS`."""
    x, y, z = map(int, text.split("x"))
    return x, y, z
