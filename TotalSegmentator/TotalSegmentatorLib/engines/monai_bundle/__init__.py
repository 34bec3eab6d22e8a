"""MONAI's bundle wholeBody_ct_segmentation, without the bundle's own code.

Its labels are those of the bundle, to the last voxel, with less memory.
"""

from ...catalog import Task
from ...jobs import Request
from ..contract import BATCH, OVERLAP, THREADS, WEIGHTS, Costs, EngineSpec, NetworkWork

PREPARE, PREDICT, WRITE = "Loading the network", "Running the network", "Writing the labels"
WINDOW = (96, 96, 96)
FEATURES = 32

SPEC = EngineSpec(
    name="monai_bundle",
    title="MONAI whole-body CT",
    description="Runs the models of MONAI's bundle for 104 structures of CT.",
    costs=Costs(
        start_s=5.0,
        network_s=0.3,
        patch_voxel_s=5.5e-6,
        score_s=10e-9,
        image_voxel_s=150e-9,
        own_bytes=0.4e9,
        score_bytes=5.0,
        layered=True,
        image_voxel_bytes=16.0,
    ),
    options=(
        OVERLAP,
        BATCH,
        WEIGHTS,
        THREADS,
    ),
    stages=((PREPARE, 0.05), (PREDICT, 0.9), (WRITE, 0.05)),
)


def networks(request: Request, task: Task) -> tuple[NetworkWork, ...]:
    """What the one network of a run costs."""
    (model,) = task.own_models(request.speed, ())
    assert model.spacing_mm
    step = 1 - float(request.options.get("overlap", 0.25))
    return (NetworkWork(WINDOW, model.spacing_mm, len(task.labels) + 1, FEATURES, step=step),)
