"""An engine process for tests: speaks the protocol and behaves as the name of the labels says."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def tell(event, **values):
    print(json.dumps({"v": 1, "event": event, **values}), flush=True)


def fail(code, message="That went wrong."):
    tell("failed", error={"code": code, "message": message, "remedy": ""})


def start_child():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    tell("log", text=f"child {child.pid}")
    return child


def run(command):
    labels = Path(command["labels"])
    behaviour = labels.stem
    if behaviour == "vanish" or (behaviour == "vanish-once" and not labels.exists()):
        labels.touch()
        os._exit(5)
    tell("started", pid=os.getpid())
    if behaviour == "out-of-memory":
        fail("gpu.out_of_memory")
    elif behaviour == "wrong-input":
        fail("input.bad_model")
    elif behaviour == "crash":
        print("last words", file=sys.stderr, flush=True)
        os._exit(7)
    elif behaviour == "killed":
        os.kill(os.getpid(), 9)
    elif behaviour == "aborted":
        print("terminate called after throwing std::bad_alloc", file=sys.stderr, flush=True)
        os._exit(134)
    elif behaviour == "recovered":
        print("CUDA out of memory, so less is done at once", file=sys.stderr, flush=True)
        print("\n".join(f"step {number}" for number in range(20)), file=sys.stderr, flush=True)
        os._exit(1)
    elif behaviour.startswith("helper"):
        if behaviour == "helper-memory":
            print("Traceback (most recent call last):\nMemoryError", file=sys.stderr, flush=True)
        elif behaviour == "helper-failed":
            print("Traceback (most recent call last):\nKeyError: 1", file=sys.stderr, flush=True)
        time.sleep(0.1)  # it comes by another pipe
        fail("engine.failed", "The engine failed: Background workers died. Look further up.")
    elif behaviour.startswith("exit-"):
        os._exit(int(behaviour[5:]))
    elif behaviour == "deaf":
        start_child()
        time.sleep(60)
    elif behaviour == "obedient":
        child = start_child()
        assert json.loads(sys.stdin.readline())["command"] == "cancel"
        child.kill()
        child.wait()
        fail("cancelled")
    else:
        print("a line of a library", file=sys.stderr, flush=True)
        time.sleep(0.1)  # it comes by another pipe
        tell("stage", text=f"Making {labels.name}")
        tell("progress", fraction=0.5, seconds_left=1.0)
        result = {"labels": str(labels), "label_names": {"1": "liver"}, "timings_s": {}}
        tell("result", result={**result, "provenance": {"engine": "fake"}})


while line := sys.stdin.readline():
    run(json.loads(line))
