"""An engine process for tests: speaks the protocol and behaves as its first argument says."""

import json
import os
import subprocess
import sys
import time


def tell(event, **values):
    print(json.dumps({"v": 1, "event": event, **values}), flush=True)


def main():
    behaviour = sys.argv[1]
    command = json.loads(sys.stdin.readline())
    tell("started", pid=os.getpid())
    print("a line of a library", file=sys.stderr, flush=True)
    if behaviour == "result":
        tell("stage", text="Working")
        tell("progress", fraction=0.5, seconds_left=1.0)
        result = {"labels": command["labels"], "label_names": {"1": "liver"}}
        tell("result", result={**result, "provenance": {"engine": "fake"}, "timings_s": {}})
        time.sleep(60)  # a resident engine goes on waiting
    while behaviour == "serve":
        name = command["labels"].rsplit("/", 1)[-1]
        tell("stage", text=f"Making {name}")
        values = {"labels": command["labels"], "label_names": {}, "provenance": {}, "timings_s": {}}
        tell("result", result=values)
        command = json.loads(sys.stdin.readline())
    if behaviour == "fail":
        tell("failed", error={"code": "gpu.out_of_memory", "message": "No memory.", "remedy": ""})
        time.sleep(60)
    if behaviour == "crash":
        print("last words", file=sys.stderr, flush=True)
        os._exit(7)
    if behaviour == "killed":
        os.kill(os.getpid(), 9)
    if behaviour in ("obedient", "deaf"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        tell("log", text=f"child {child.pid}")
    if behaviour == "obedient":
        assert json.loads(sys.stdin.readline())["command"] == "cancel"
        tell("failed", error={"code": "cancelled", "message": "The segmentation was cancelled."})
    time.sleep(60)


main()
