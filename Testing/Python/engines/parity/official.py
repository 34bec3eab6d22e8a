"""Runs cases through the official package for real, in one process; for the engine environment.

python official.py CASES.json FOLDER [--pools]

Nothing of the package is replaced but: statistics and downloads (off), the search for trainers
(named), a function that forgets the device of a model that runs before the task's own, so that
the task teeth fails on a CPU, and, without ``--pools``, nnU-Net's processes for reading and
writing, for which its own sequential variant stands in.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.totalsegmentator import SPEC, official_arguments
from TotalSegmentatorLib.engines.trainers import find_trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("folder", type=Path, help="labels are written here")
    parser.add_argument("--pools", action="store_true", help="with nnU-Net's own processes")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    weights = arguments.folder / "weights"  # nnU-Net reads the name of this folder only once
    prepare(weights, arguments.folder / "home")
    if not arguments.pools:
        run_sequentially()
    for case in json.loads(arguments.cases.read_text("utf-8")):
        weights.unlink(missing_ok=True)
        weights.symlink_to(case["weights"])
        answer: dict[str, Any] = {}
        try:
            np.save(arguments.folder / f"{case['id']}.npy", segment(case, arguments.folder))
        except (Exception, SystemExit):
            answer["error"] = traceback.format_exc()
        (arguments.folder / f"{case['id']}.json").write_text(json.dumps(answer), "utf-8")


def prepare(weights: Path, home: Path) -> None:
    """Let the package find models and a licence, name the trainers, and send and get nothing."""
    home.mkdir(exist_ok=True)
    settings = {"totalseg_id": "parity", "send_usage_stats": False, "prediction_counter": 0}
    settings |= {"statistics_disclaimer_shown": True, "license_number": "parity_0123456789_"}
    (home / "config.json").write_text(json.dumps(settings), "utf-8")
    os.environ |= {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(weights)}

    from totalsegmentator import python_api

    python_api.setup_nnunet()  # before nnU-Net is imported
    from totalsegmentator import nnunet

    python_api.send_usage_stats = lambda *_: None
    python_api.download_pretrained_weights = lambda *_: None
    python_api.convert_device_to_string = str
    official = [task for task in catalog.tasks() if "totalsegmentator" in task.engines]
    models = {model for task in official for ms in task.speeds.values() for model in ms}
    for name in {model.trainer for model in models} - set(nnunet.custom_trainers):
        nnunet.custom_trainers[name] = find_trainer(name)


def run_sequentially() -> None:
    """Replace the predictor's function that starts processes by nnU-Net's own that does not."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    def predict(
        predictor: nnUNetPredictor,
        source: str,
        target: str,
        save_probabilities: bool,
        overwrite: bool,
        folder_with_segs_from_prev_stage: str | None,
        use_cropped_logits_resampling: bool = False,
        **_processes: int,
    ) -> None:
        predictor.predict_from_files_sequential(
            source,
            target,
            save_probabilities,
            overwrite,
            folder_with_segs_from_prev_stage,
            use_cropped_logits_resampling=use_cropped_logits_resampling,
        )

    nnUNetPredictor.predict_from_files = predict


def segment(case: dict[str, Any], folder: Path) -> np.ndarray:
    """The labels (uint8, shape (I, J, K)) of the structures that are asked for.

    With a file to write, as on the package's command line: without one it goes on after an empty
    crop, with the whole image.
    """
    from totalsegmentator.python_api import totalsegmentator

    task = catalog.task(case["task"])
    structures = case["structures"]
    image = totalsegmentator(
        case["image"],
        folder / "labels.nii",
        ml=True,
        task=task.id,
        fast=case["speed"] == "fast",
        fastest=case["speed"] == "fastest",
        roi_subset=structures if structures and task.subset_crop else None,
        device="cpu",
        quiet=True,
        **official_arguments(SPEC.parse_options(case["options"])),
    )
    labels = np.asanyarray(image.dataobj)
    wanted = [value for value, name in task.labels.items() if not structures or name in structures]
    return np.where(np.isin(labels, wanted), labels, 0).astype(np.uint8)


if __name__ == "__main__":
    main()
