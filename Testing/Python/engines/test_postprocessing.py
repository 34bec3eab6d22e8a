"""Post-processing and merging in the engine process, voxel by voxel as the official package."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "run_postprocessing.py"

pytestmark = pytest.mark.slow  # the engine's process imports PyTorch


@pytest.fixture(scope="module")
def compared(engine) -> dict:
    command = [str(engine.python), str(SCRIPT)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def test_no_voxel_differs(compared):
    differing = {name: case["differing"] for name, case in compared["cases"].items()}
    assert differing == dict.fromkeys(differing, 0)
    assert len(differing) > 30


def test_the_package_changes_the_labels_of_every_case_that_has_some(compared):
    """Otherwise a step that does nothing would pass."""
    unchanged = {name for name, case in compared["cases"].items() if not case["changed"]}
    assert {name for name in unchanged if not name.startswith("nothing")} == {
        "small blobs, more than 8 voxels",
        "heart, scattered, no margin",
        "heart, beyond the labels, no margin",
    }


def test_a_single_piece_gets_one_label(compared):
    assert compared["single"] == [0, 13]


def test_outside_is_removed_in_the_tasks_in_which_the_package_does(compared):
    assert compared["outside"] == ["heartchambers_highres"]
