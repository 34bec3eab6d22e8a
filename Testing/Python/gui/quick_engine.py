"""An engine that answers at once, for tests of the panel: made labels in place of a network.

Run as a program it is the engine's process; everything before and after that is the real thing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NAMES = {1: "liver", 2: "spleen"}


class QuickEngine:
    """The interpreter to name in the panel, and how it shall behave.

    :ivar python: path of a program that stands for the interpreter.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.python = folder / "python"
        own = Path(__file__).resolve()
        self.python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{own}" "{folder}" "$@"\n')
        self.python.chmod(0o755)

    def hold(self) -> None:
        """Let runs wait until :meth:`release`."""
        (self._folder / "hold").touch()

    def release(self) -> None:
        """Let runs go on."""
        (self._folder / "hold").unlink(missing_ok=True)

    def fail(self, code: str, message: str, remedy: str = "", times: int = 1) -> None:
        """Let the next runs fail."""
        error = {"code": code, "message": message, "remedy": remedy, "details": "some details"}
        for number in range(times):
            (self._folder / f"fail-{number}").write_text(json.dumps(error))

    @property
    def requests(self) -> list[dict]:
        """What was asked of the engine, oldest first."""
        path = self._folder / "requests"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def processes(self) -> list[int]:
        """Process ids of the engines that are there (Linux)."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # ended meanwhile
                if str(self._folder) in path.read_text():
                    found.append(int(path.parent.name))
        return found


def tell(event: str, **values: object) -> None:
    print(json.dumps({"v": 1, "event": event, **values}), flush=True)


def run(folder: Path, command: dict, cancelled: threading.Event) -> None:
    """Answer one command; meanwhile the process is in the run's folder, as the worker is."""
    outside = os.getcwd()
    os.chdir(command["folder"])
    tell("started", pid=os.getpid())
    event, values = answer(folder, command, cancelled)
    os.chdir(outside)
    tell(event, **values)


def answer(folder: Path, command: dict, cancelled: threading.Event) -> tuple[str, dict]:
    """The last event of a run, and its values."""
    from TotalSegmentatorLib.images import read_image, write_labelmap

    with open(folder / "requests", "a") as file:
        file.write(json.dumps(command["request"]) + "\n")
    tell("stage", text="Running the network")
    tell("progress", fraction=0.5, seconds_left=61.0)
    for failure in sorted(folder.glob("fail-*")):
        error = json.loads(failure.read_text())
        failure.unlink()
        return "failed", {"error": error}
    while (folder / "hold").exists():
        if cancelled.is_set():
            error = {"code": "cancelled", "message": "The run was cancelled."}
            return "failed", {"error": error}
        time.sleep(0.01)
    image, _ = read_image(Path(command["image"]))
    labels = (image.array > 300).astype("uint16")
    labels[: len(labels) // 2] *= 2
    wanted = command["request"]["structures"] or list(NAMES.values())
    names = {value: name for value, name in NAMES.items() if name in wanted}
    for value in set(NAMES) - set(names):
        labels[labels == value] = 0
    write_labelmap(image.with_array(labels), Path(command["labels"]), names)
    provenance = {"engine": "stand-in", "model": ["none"], "device": "cpu", "demo": False}
    result = {"labels": command["labels"], "label_names": names, "provenance": provenance}
    return "result", {"result": {**result, "timings_s": {"running_the_network": 0.1}}}


def main() -> None:
    """Take commands until the application is gone."""
    sys.path.insert(0, str(ROOT / "TotalSegmentator"))
    folder = Path(sys.argv[1])
    cancelled = threading.Event()
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "cancel":
            cancelled.set()
        else:
            cancelled.clear()
            threading.Thread(target=run, args=(folder, command, cancelled), daemon=True).start()


if __name__ == "__main__":
    main()
