"""How long the panel keeps Slicer from answering: the longest gaps of Qt's event loop.

A timer that should fire every millisecond runs in the event loop of the stand-in for Slicer
(Testing/Host). Noted is the longest time between two of its calls

- during real runs of the task demo, from the click on Apply until the result is in the scene,
- while the panel is open and nothing runs, for as long as a run takes,
- during runs of the task total on 512 x 512 x 400 voxels, with an engine that writes ready-made
  labels of 117 structures: the whole way of voxels and labels, without the network.

Each of them is done three times; the medians count. Needs the environments that `make` makes.

The loop of the stand-in lets other threads run while it waits. With --keep-lock it keeps Python's
lock all the time, as an application whose loop is not Python's may do: then the threads of a run
get on only while the panel calls for its news.

    .venv/bin/python Benchmarks/gui_stall.py --json
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
for _folder in ("TotalSegmentator", "Testing/Host"):
    sys.path.insert(0, str(ROOT / _folder))

from segmentation_import import make_labels  # noqa: E402
from slicerhost.libraries import missing_libraries  # noqa: E402

from TotalSegmentatorLib import catalog  # noqa: E402
from TotalSegmentatorLib.environment import interpreter  # noqa: E402
from TotalSegmentatorLib.environment.sample_data import sample_ct  # noqa: E402
from TotalSegmentatorLib.errors import SetupError  # noqa: E402
from TotalSegmentatorLib.images import Image, read_image, write_nifti  # noqa: E402

if TYPE_CHECKING:
    from slicerhost.host import Host

MODULE = ROOT / "TotalSegmentator" / "TotalSegmentator.py"
SIZE = (512, 512, 400)
RUN_TIMEOUT_S = 300.0
_SETTLE_S = 0.5  # before a measurement: what entering the panel left to do; after it: its end

# Takes one `run` command of the protocol (TotalSegmentatorLib/jobs/events.py), and waits then.
ENGINE = """
import json, os, shutil, sys
def tell(event, **values):
    print(json.dumps({"v": 1, "event": event, **values}), flush=True)
labels, names = sys.argv[1], json.loads(sys.argv[2])
command = json.loads(sys.stdin.readline())
tell("started", pid=os.getpid())
tell("stage", text="Writing ready-made labels")
shutil.copyfile(labels, command["labels"])
result = {"labels": command["labels"], "label_names": names}
tell("result", result={**result, "provenance": {"engine": "stand-in"}, "timings_s": {}})
sys.stdin.read()
"""


@dataclass(frozen=True)
class Subject:
    """What is segmented, and by whom.

    :param image: becomes the volume.
    :param task: task id.
    :param engine: interpreter of the engine.
    :param weights: weights folder, or None for the usual one.
    """

    image: Image
    task: str
    engine: Path
    weights: Path | None = None


@dataclass(frozen=True)
class Measurement:
    """:param stall_ms: the longest gap; :param seconds: how long the whole took."""

    stall_ms: float
    seconds: float


def keep_lock() -> None:
    """Let QEventLoop.exec() keep Python's lock, which PySide's wrapper of it lets go of."""
    import shiboken6
    from PySide6 import QtCore

    library = ctypes.PyDLL("libQt6Core.so.6")  # the one that PySide has loaded
    execute = library._ZN10QEventLoop4execE6QFlagsINS_17ProcessEventsFlagEE
    execute.argtypes = [ctypes.c_void_p, ctypes.c_int]
    QtCore.QEventLoop.exec = lambda loop: execute(shiboken6.getCppPointer(loop)[0], 0)


def measure(host: Host, action: Callable[[], object], until: Callable[[], object]) -> Measurement:
    """Call *action* in the event loop and run that until something holds, and a moment longer.

    :raises TimeoutError: after :data:`RUN_TIMEOUT_S`.
    """
    from PySide6 import QtCore

    QtCore.QTimer.singleShot(20, action)
    began = time.perf_counter()
    gap = host.longestGap(until, RUN_TIMEOUT_S)
    seconds = time.perf_counter() - began
    return Measurement(max(gap, host.longestGap(_SETTLE_S)), seconds)


def _later(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


@contextlib.contextmanager
def opened_panel(host: Host, subject: Subject) -> Iterator[Any]:
    """The panel in a fresh scene with a volume and a task chosen, ready for Apply."""
    import slicer

    from TotalSegmentatorLib.scene import image_to_volume

    host.reset()
    loaded = host.loadModule(MODULE)
    host.enter(loaded)
    panel = loaded.widget
    try:
        panel.logic.enginePython = str(subject.engine)
        if subject.weights:
            panel.logic.totalSegmentatorWeightsPath = str(subject.weights)
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        image_to_volume(subject.image, volume)
        panel.ui.inputVolumeSelector.setCurrentNode(volume)
        panel._parameterNode.task = subject.task
        yield panel
    finally:
        host.unloadModule(loaded)


def measure_run(host: Host, subject: Subject) -> Measurement:
    """Click Apply and wait until the result is in the scene.

    :raises RuntimeError: if the run failed.
    """
    import slicer

    with opened_panel(host, subject) as panel:
        host.longestGap(_SETTLE_S)
        started = []

        def apply() -> None:
            started.append(True)
            panel.ui.applyButton.click()

        done = measure(host, apply, lambda: bool(started) and not panel.busy)
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        if node is None or not node.GetSegmentation().GetNumberOfSegments() or host.slotErrors:
            log = panel.ui.logTextEdit.toPlainText()
            raise RuntimeError(f"the run failed:\n{log}\n{host.slotErrors}")
        return done


def measure_idle(host: Host, subject: Subject, seconds: float) -> Measurement:
    """Leave the open panel alone."""
    with opened_panel(host, subject):
        host.longestGap(_SETTLE_S)
        return measure(host, lambda: None, _later(seconds))


def demo_subject() -> Subject:
    """The real CT, the demo model, the real engine.

    :raises SetupError: if the engine environment is missing.
    """
    python = interpreter(ROOT / ".venv-engine")
    if not python.is_file():
        raise SetupError(
            "environment.missing", "There is no engine environment; run 'make environments' first."
        )
    image, _ = read_image(sample_ct(ROOT / ".cache" / "sample").ct)
    return Subject(image, "demo", python)


def large_subject(folder: Path) -> Subject:
    """A large volume, and an engine that has labels of 117 structures ready.

    :param folder: for the labels, the engine and stand-ins for the weights.
    """
    shape = SIZE[::-1]
    grid = np.diag([-0.8, -0.8, 1.0, 1.0])
    names = catalog.task("total").labels
    write_nifti(Image(make_labels(SIZE), grid), folder / "labels.nii")
    (folder / "engine.py").write_text(ENGINE, "utf-8")
    command = [sys.executable, folder / "engine.py", folder / "labels.nii", json.dumps(dict(names))]
    engine = folder / "python"
    engine.write_text(f"#!/bin/sh\nexec {shlex.join(map(str, command))}\n", "utf-8")
    engine.chmod(0o700)
    for model in catalog.task("total").required_models("normal", ()):
        fold = folder / "weights" / model.folder / model.subfolder / "fold_0"
        fold.mkdir(parents=True)
        for file in (fold.parent / "plans.json", fold.parent / "dataset.json"):
            file.write_text("{}", "utf-8")
        (fold / "checkpoint_final.pth").write_bytes(b"stand-in")
    noise = np.random.default_rng(0).integers(-1024, 1500, shape, np.int16)
    return Subject(Image(noise, grid), "total", engine, folder / "weights")


def measure_all(repeats: int, keeps_lock: bool) -> dict[str, Any]:
    """All measurements; times in ms.

    :param repeats: runs of each state.
    :param keeps_lock: see :func:`keep_lock`.
    :raises SetupError: if the engine environment is missing.
    """
    demo = demo_subject()
    from slicerhost import host as slicerhost

    host = slicerhost.start()
    if keeps_lock:
        keep_lock()
    runs, idle, large = [], [], []
    for _ in range(repeats):
        runs.append(measure_run(host, demo))
        idle.append(measure_idle(host, demo, runs[-1].seconds))
    with tempfile.TemporaryDirectory() as folder:
        subject = large_subject(Path(folder))
        for _ in range(repeats):
            large.append(measure_run(host, subject))
    host.reset()
    host.stop()
    return {
        "longest_stall_ms": _median(runs),
        "idle_ms": _median(idle),
        "large_ms": _median(large),
        "runs": {
            name: [{"ms": round(m.stall_ms, 1), "seconds": round(m.seconds, 2)} for m in measured]
            for name, measured in (("demo", runs), ("idle", idle), ("large", large))
        },
    }


def _median(measured: list[Measurement]) -> float:
    return round(statistics.median(m.stall_ms for m in measured), 1)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = ["| state | longest gap (ms, median) | of each run | seconds |", "|---|---:|---|---|"]
    texts = {"demo": "run of the task demo", "idle": "nothing runs"}
    texts["large"] = f"{' x '.join(map(str, SIZE))} voxels, 117 labels"
    for name, key in (("demo", "longest_stall_ms"), ("idle", "idle_ms"), ("large", "large_ms")):
        each = ", ".join(f"{run['ms']:g}" for run in result["runs"][name])
        seconds = ", ".join(f"{run['seconds']:.1f}" for run in result["runs"][name])
        rows.append(f"| {texts[name]} | {result[key]:g} | {each} | {seconds} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each state (default 3)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, no table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the JSON to FILE, too")
    parser.add_argument("--keep-lock", action="store_true", help="see above (Linux only)")
    options = parser.parse_args()
    missing = missing_libraries()
    if missing:
        sys.exit(missing)
    try:
        result = measure_all(options.repeats, options.keep_lock)
    except SetupError as error:
        sys.exit(str(error))
    print(json.dumps(result) if options.json else table(result))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1), "utf-8")


if __name__ == "__main__":
    main()
