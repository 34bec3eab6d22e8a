"""Slicer without a main window: `--no-main-window --python-code`, as on a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import sys
from pathlib import Path
from slicerhost import host

started = host.start(mainWindow=False)
module = started.loadModule(Path(sys.argv[1]))
import slicer
from TotalSegmentator import TotalSegmentatorLogic
from TotalSegmentatorLib.images import read_image
from TotalSegmentatorLib.scene import image_to_volume

assert slicer.util.mainWindow() is None
volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
image_to_volume(read_image(Path(sys.argv[2]))[0], volume)
logic = TotalSegmentatorLogic()
logic.enginePython = sys.argv[3]

# A script that waits, and one that goes on and is called back.
node = logic.segment(volume, task="demo").wait()
assert node.GetSegmentation().GetSegment("liver")
ended = []
logic.segment(volume, task="demo", structures=["spleen"], onDone=ended.append)
assert started.wait(lambda: ended, 60)
assert ended[0].result.GetSegmentation().GetSegment("spleen")
assert started.dialogs == [] and started.slotErrors == []
print("done")
"""


def test_scripts_run_without_a_main_window(sample, quick):
    module = ROOT / "TotalSegmentator" / "TotalSegmentator.py"
    folders = [str(ROOT / "TotalSegmentator"), str(ROOT / "Testing" / "Host")]
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, module, sample.ct, quick.python],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(folders),
            "QT_QPA_PLATFORM": "offscreen",
        },
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "done"
