"""Runs cases through the fast engine, in one process; for the engine environment.

python ours.py CASES.json FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
from TotalSegmentatorLib.engines.contract import Reporter, Run
from TotalSegmentatorLib.engines.kept import Kept
from TotalSegmentatorLib.engines.nnunet import SPEC, engine
from TotalSegmentatorLib.images import read_labelmap
from TotalSegmentatorLib.jobs import Event, JobContext, Request, Warned


def main() -> None:
    cases, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    kept = Kept()
    for case in json.loads(cases.read_text("utf-8")):
        os.environ |= {"TOTALSEG_HOME_DIR": case["home"], "TOTALSEG_WEIGHTS_PATH": case["weights"]}
        answer: dict[str, Any] = {}
        try:
            with tempfile.TemporaryDirectory() as private:
                labels, answer = segment(case, Path(private), kept)
            np.save(folder / f"{case['id']}.npy", labels)
        except Exception:
            answer["error"] = traceback.format_exc()
        (folder / f"{case['id']}.json").write_text(json.dumps(answer), "utf-8")


def segment(case: dict[str, Any], folder: Path, kept: Kept) -> tuple[np.ndarray, dict[str, Any]]:
    """The labels (shape (I, J, K)), and what the engine says about the run."""
    request = Request(
        case["task"],
        "nnunet",
        case["speed"],
        tuple(case["structures"]),
        "cpu",
        options=case["options"],
    )
    warnings: list[str] = []

    def take(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.code)

    report = Reporter(SPEC, JobContext(take))
    options = SPEC.parse_options(case["options"])
    run = Run(
        request, Path(case["image"]), folder / "labels.nii", report, folder, options, kept=kept
    )
    result = engine.run(run)
    about = {"path": result.provenance["engine"], "mode": result.provenance.get("mode", "")}
    labels = read_labelmap(result.labels).array.T
    return np.asarray(labels), {**about, "warnings": warnings}


if __name__ == "__main__":
    main()
