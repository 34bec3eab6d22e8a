"""The command line's first moments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import TotalSegmentatorLib

# A person presses Ctrl+C while the packages are imported.
IMPATIENT = """
import os, signal, sys
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "TotalSegmentatorLib.cli.segment":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Impatient())
from TotalSegmentatorLib.cli.main import main
sys.argv = ["slicer-totalsegmentator", "tasks"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal")
def test_an_interrupt_while_it_starts_is_no_traceback():
    package = Path(TotalSegmentatorLib.__file__).parents[1]
    command = [sys.executable, "-c", IMPATIENT]
    ended = subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "error: The segmentation was cancelled. [cancelled]\n"


def test_what_takes_long_to_import_is_not_imported_to_start():
    names = ("SimpleITK", "matplotlib", "nibabel", "pydicom", "scipy.ndimage", "torch")
    code = f"import sys, TotalSegmentatorLib.cli.app; print(sys.modules.keys() & {set(names)!r})"
    package = Path(TotalSegmentatorLib.__file__).parents[1]
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "set()\n", ended.stderr
