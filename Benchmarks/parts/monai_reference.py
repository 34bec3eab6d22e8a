"""What MONAI's engines are measured with: works, weights, and `python -m monai.bundle run`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts import works

sys.path.insert(0, str(works.ROOT / "Testing" / "Python"))
from engines.monai import reference
from engines.monai.nv_identity import own_names
from engines.monai.nv_reference import nv_segment

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.nv_segment import window_size
from TotalSegmentatorLib.jobs import Request

TASKS = {"monai_bundle": "wholebody_ct", "nv_segment": "nv_ct_body"}
#: Prompts of NV-Segment-CTMR: liver, spleen, pancreas, aorta.
PROMPTS = (1, 3, 4, 6)


@dataclass(frozen=True)
class Work:
    """What both do.

    :param engine: ours.
    :param image: a name, or the path of a file.
    :param window: that of NV-Segment-CTMR, as in its option.
    """

    engine: str
    speed: str
    image: str
    window: str

    @property
    def task(self) -> catalog.Task:
        """What is segmented."""
        return catalog.task(TASKS[self.engine])

    @property
    def model(self) -> catalog.Model:
        """The one model that is run."""
        (model,) = self.task.required_models(self.speed)
        return model

    @property
    def spacing_mm(self) -> float:
        """Of the voxels that the model sees, the same along all axes."""
        assert self.model.spacing_mm
        return self.model.spacing_mm[0]

    @property
    def name(self) -> str:
        """As it stands in tables."""
        how = self.window if self.engine == "nv_segment" else self.speed
        return f"{self.task.id} {how} {Path(self.image).name.partition('.')[0]}"

    def request(self, weights: Path, device: str) -> Request:
        """What our engine is asked for."""
        options: dict[str, Any] = {"weights": str(weights)}
        structures: tuple[str, ...] = ()
        if self.engine == "nv_segment":
            options["window"] = self.window
            structures = tuple(self.task.labels[prompt] for prompt in PROMPTS)
        return Request(
            self.task.id, self.engine, self.speed, structures, device=device, options=options
        )

    def config(self, image: Path, weights: Path, device: str) -> dict[str, Any]:
        """What the bundle does."""
        if self.engine == "nv_segment":
            window = window_size(self.window)
            config = nv_segment({image: PROMPTS}, own_names(), weights, window)
        else:
            config = reference.whole_body([image], weights, self.spacing_mm)
        if device == "gpu":
            config["evaluator"]["device"] = config["inferer"]["device"] = "cuda:0"
        return config


def weights_for(work: Work) -> Path:
    """The checkpoint of the true architecture with random values, made by the first call."""
    path = works.MADE_WEIGHTS / work.model.folder / work.model.checkpoint
    if not path.exists():
        print(f"Making weights: {work.task.id}", file=sys.stderr)
        script = Path(reference.__file__).with_name("made_bundles.py")
        works.run_script(script, works.MADE_WEIGHTS, "--task", work.task.id)
    return path
