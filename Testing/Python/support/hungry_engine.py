"""An engine process for tests that has no memory for some runs: each ends as the table says.

python hungry_engine.py TABLE

The table is JSON: the way of a run, e.g. ``normal``, ``fast+split`` or ``fast@cpu`` -> how it ends.
A run of any other way works: the voxels of the image, which are 0 or 1, are its labels. Little is
imported, as many are started.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

TABLE = json.loads(sys.argv[1])


def tell(event: str, **values: object) -> None:
    print(json.dumps({"v": 1, "event": event, **values}), flush=True)


def way(request: dict) -> str:
    split = "+split" if request["options"].get("force_split") else ""
    return f"{request['speed']}{split}{'@cpu' if request['device'] == 'cpu' else ''}"


def fail_for_real() -> None:
    """Run out of memory, and tell of it as the worker does."""
    import resource  # which Windows lacks

    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
    import numpy as np

    from TotalSegmentatorLib.engines.failures import classify

    limit = 8 << 30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        np.ones(2 * limit, np.uint8)
    except MemoryError as error:
        tell("failed", error=classify(error).to_dict())


def run(command: dict) -> None:
    request = command["request"]
    tell("started", pid=os.getpid())
    tell("log", text=f"way {way(request)}")
    tell("progress", fraction=0.5)
    end = TABLE.get(way(request))
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif end == "gpu":
        message = "The GPU's memory ran out."
        tell("failed", error={"code": "gpu.out_of_memory", "message": message})
    elif end == "memory":
        fail_for_real()
    elif end == "deaf":
        time.sleep(60)
    elif end == "waits":
        sys.stdin.readline()  # for the cancellation
        tell("failed", error={"code": "cancelled", "message": ""})
    else:
        shutil.copy(command["image"], command["labels"])
        provenance = {"engine": request["engine"], "demo": False, "pid": os.getpid()}
        provenance["gpus"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        result = {"labels": command["labels"], "label_names": {"1": "liver"}, "timings_s": {}}
        tell("result", result={**result, "provenance": provenance})


for line in sys.stdin:
    message = json.loads(line)
    if message["command"] == "run":
        run(message)
