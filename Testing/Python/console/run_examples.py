"""Run Python examples as they stand in a document, and print what each of them printed, as JSON.

    python run_examples.py WHERE IMAGE ENGINE < examples.json

The examples are a list of texts; they share their names, as in a console. WHERE is ``bare``: on
slicer-core without Qt, or ``host``: in the stand-in for the application, whose event loop runs
after each example until no job is left. In the scene are the volumes of Slicer's users: DemoCT,
CTACardio and CTPCardio, which shows a sequence of three frames. ENGINE is an interpreter with
PyTorch, or ``stand-in``: then no weights are needed either.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "TotalSegmentator"), str(ROOT / "Testing" / "Host")]

import slicer  # noqa: E402
import slicer.util  # noqa: E402

from TotalSegmentatorLib import environment  # noqa: E402
from TotalSegmentatorLib.environment import EngineEnvironment  # noqa: E402
from TotalSegmentatorLib.images import read_image  # noqa: E402
from TotalSegmentatorLib.jobs import EngineCommand  # noqa: E402

STAND_IN = Path(__file__).with_name("stand_in_engine.py")
MODULE = ROOT / "TotalSegmentator" / "TotalSegmentator.py"
RUN_TIMEOUT_S = 240


class StandIn(EngineEnvironment):
    """Starts the engine beside this file in place of the worker."""

    def command(self, extra=None, module="") -> EngineCommand:
        return EngineCommand([sys.executable, STAND_IN], super().command(extra).variables)


def use_engine(name: str) -> None:
    """Make it the one that is found without being named."""
    if name != "stand-in":
        environment.find_engine = lambda *_: EngineEnvironment(Path(name))
        return
    environment.find_engine = lambda *_: StandIn(Path(sys.executable))
    environment.make_engine = lambda **_: {"python": "3"}  # nothing is installed by a test
    environment.check_weights = lambda *_: None


def fill_scene(path: str) -> None:
    """Add the volumes that the examples speak of."""
    from TotalSegmentatorLib.scene import image_to_volume
    from TotalSegmentatorLib.scene.sample_volume import add_sample_volume

    image, _ = read_image(path)
    add_sample_volume(slicer.mrmlScene, Path(path))
    for name in ("CTACardio", "CTPCardio"):
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        image_to_volume(image, volume)


def add_sequence(logic: slicer.vtkSlicerSequencesLogic) -> None:
    """Let CTPCardio show a sequence."""
    volume = slicer.util.getNode("CTPCardio")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode")
    for value in ("0", "1", "2"):
        sequence.SetDataNodeAtValue(volume, value)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "CTPCardio browser")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(volume, sequence, False)
    browser.SetSelectedItemNumber(0)
    logic.UpdateProxyNodesFromSequences(browser)


def start_bare(path: str) -> Callable[[dict[str, Any]], None]:
    """slicer-core alone; returns what comes after each example."""
    from TotalSegmentatorLib.scene.headless import HeadlessApplication

    application = HeadlessApplication()
    slicer.mrmlScene = application.scene
    fill_scene(path)
    add_sequence(application.sequences)
    return lambda names: None


def start_host(path: str) -> Callable[[dict[str, Any]], None]:
    """The stand-in for the application, with the module loaded; returns as :func:`start_bare`."""
    from slicerhost import host

    application = host.start()
    application.loadModule(MODULE)
    fill_scene(path)

    def until_done(names: dict[str, Any]) -> None:
        jobs = [value for value in names.values() if hasattr(value, "when_done")]
        if not application.run_until(lambda: all(job.done for job in jobs), RUN_TIMEOUT_S):
            raise TimeoutError("a job did not end")
        if application.slotErrors:
            raise RuntimeError(application.slotErrors)

    return until_done


def main() -> None:
    """See above."""
    where, path, engine = sys.argv[1:]
    use_engine(engine)
    after = {"bare": start_bare, "host": start_host}[where](path)
    names = {"getNode": slicer.util.getNode, "slicer": slicer}
    answers = []
    for number, example in enumerate(json.load(sys.stdin)):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(example, f"example {number + 1}", "exec"), names)
            after(names)
        answers.append(printed.getvalue())
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
