"""The worker with an engine that needs no torch, and does what it is told, or what the name of the
labels says.

python small_worker.py SECONDS_OF_IDLENESS [BEHAVIOUR]
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import types
from multiprocessing.connection import Listener
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib.engines import worker
from TotalSegmentatorLib.engines.contract import Run
from TotalSegmentatorLib.jobs import EngineResult


def places() -> dict[str, str]:
    """The folders that engines and what they start find themselves in."""
    code = "import json, os, tempfile; print(json.dumps([os.getcwd(), tempfile.gettempdir()]))"
    child = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    with Listener(family="AF_UNIX") as listener:
        socket = listener.address
    temporary = tempfile.mkdtemp()
    return {"cwd": os.getcwd(), "temporary": temporary, "socket": socket, "child": child}


def run(run: Run) -> EngineResult:
    behaviour = sys.argv[2] if len(sys.argv) > 2 else run.labels.stem
    told: dict = {}
    if behaviour == "places":
        told = places()
    elif behaviour == "child":
        child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
        child.start()
        told = {"child": child.pid}
    elif behaviour == "keep":
        told = {"kept": run.kept.get("start", time.monotonic, lambda value: 8)}
    elif behaviour == "wait":
        run.report.log("waiting")
        while True:
            run.report.progress(0.5)
            time.sleep(0.01)
    elif behaviour == "exit":
        sys.exit("enough")
    print("to standard output")
    return EngineResult(run.labels, {}, told)


sys.modules["TotalSegmentatorLib.engines.nnunet.engine"] = types.ModuleType("engine")
sys.modules["TotalSegmentatorLib.engines.nnunet.engine"].run = run
if __name__ == "__main__":
    worker.main(float(sys.argv[1]))
