"""Runs cases through our engines for MONAI's networks, in one process; for the engine environment.

python run_monai_engines.py CASES.json FOLDER

A case is an object with id, engine, task, speed, image, options, weights (the weights folder) and
structures. Its labels are FOLDER/id.nii.gz, and FOLDER/id.json is what the engine says of the run.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
from TotalSegmentatorLib.engines import spec
from TotalSegmentatorLib.engines.contract import Reporter, Run
from TotalSegmentatorLib.engines.kept import Kept
from TotalSegmentatorLib.jobs import EngineResult, JobContext, Request


def main() -> None:
    cases, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    kept = Kept()
    for case in json.loads(cases.read_text("utf-8")):
        with tempfile.TemporaryDirectory() as private:
            result = segment(case, folder, Path(private), kept)
        (folder / f"{case['id']}.json").write_text(json.dumps(result.to_dict()), "utf-8")


def segment(case: dict[str, Any], folder: Path, private: Path, kept: Kept) -> EngineResult:
    os.environ["TOTALSEG_WEIGHTS_PATH"] = case["weights"]
    declaration = spec(case["engine"])
    request = Request(
        task=case["task"],
        engine=case["engine"],
        speed=case["speed"],
        structures=tuple(case.get("structures", ())),
        device="cpu",
        options=declaration.parse_options(case["options"], "task", case["task"]),
    )
    engine = importlib.import_module(f"TotalSegmentatorLib.engines.{case['engine']}.engine")
    run = Run(
        request=request,
        image=Path(case["image"]),
        labels=folder / f"{case['id']}.nii.gz",
        report=Reporter(declaration, JobContext(lambda event: None)),
        folder=private,
        options=declaration.parse_options(request.options),
        kept=kept,
    )
    return engine.run(run)


if __name__ == "__main__":
    main()
