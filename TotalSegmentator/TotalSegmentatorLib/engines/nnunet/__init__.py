"""Any nnU-Net v2 model folder, run by nnU-Net's own predictor."""

from ..contract import EngineSpec, Option

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
        Option(
            "trust_model",
            False,
            "Trust the model file",
            "Load a checkpoint that holds more than plain weights. It can run any code: "
            "only for files you made yourself.",
        ),
    ),
    stages=((PREPARE, 0.25), (PREDICT, 0.65), (WRITE, 0.1)),
)
