"""Segments files as an application does: one line of JSON on standard input is one run.

    {"image": "ct.nii.gz", "labels": "labels.nii.gz", "request": {...}, "weights": "FOLDER"}

The answer is a line with what the engine said of the run. The engine process stays for further
lines; it ends with this process. With a script as argument that is what the engine process runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "TotalSegmentator"))

from TotalSegmentatorLib.environment import EngineEnvironment, interpreter  # noqa: E402
from TotalSegmentatorLib.images import read_image  # noqa: E402
from TotalSegmentatorLib.jobs import EngineCommand, Request  # noqa: E402
from TotalSegmentatorLib.outputs import write_file  # noqa: E402
from TotalSegmentatorLib.segment import segment  # noqa: E402
from TotalSegmentatorLib.session import Settings  # noqa: E402


@dataclass(frozen=True)
class OtherWorker(EngineEnvironment):
    """An engine environment, in which another script does the worker's part."""

    script: str = ""

    def command(self, extra: Mapping[str, str] | None = None, module: str = "") -> EngineCommand:
        return replace(super().command(extra), arguments=[self.python, self.script])


def run(order: dict[str, Any], engine: EngineEnvironment) -> dict[str, Any]:
    """From file to file.

    :param order: see above.
    """
    image, notices = read_image(Path(order["image"]))
    settings = Settings(engine, weights=Path(order["weights"]))
    job = segment(image, Request.from_dict(order["request"]), settings, notices)
    result = job.wait()
    write_file(result, Path(order["labels"]))
    return {name: result.report[name] for name in ("timings_s", "warnings", "provenance")}


def serve(engine: EngineEnvironment) -> None:
    """Take orders until standard input closes."""
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), engine)), flush=True)


if __name__ == "__main__":
    python = interpreter(ROOT / ".venv-engine").absolute()
    scripts = sys.argv[1:]
    serve(OtherWorker(python, script=scripts[0]) if scripts else EngineEnvironment(python))
