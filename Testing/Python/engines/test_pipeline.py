"""The fast engine's way through a task: where it splits, what it tells, how it hands over."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("run_pipeline.py")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answer(engine) -> dict:
    command = [str(engine.python), str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_images_are_split_where_the_official_package_can(answer):
    split = answer["split"]
    assert split["ours"] == split["official"]
    assert {58, 59, 60} <= set(split["ours"]) and 57 not in split["ours"]
    assert split["of itself"] == [True, False, False]


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_block_counts_as_much_as_it_writes(answer, kind):
    """Blocks with 8 features at full resolution, 16 at an eighth of it, and 24 at a 32nd."""
    costs = [8, 8, 2, 0.75, 2, 8, 8]
    expected = [sum(costs[:n]) / sum(costs) for n in range(len(costs))]
    assert answer["blocks"][kind] == pytest.approx(expected)


def test_others_get_room_and_people_read_what_they_leave_out(answer):
    plain, dropped = answer["handed_over"]
    assert plain["kept"] == dropped["kept"] == ""
    assert plain["message"].endswith("so somebody runs it: with the same labels, and more slowly.")
    assert "without compiled and body_first" in dropped["message"]
    assert "same labels" not in dropped["message"]


def test_an_option_that_cannot_apply_is_told(answer):
    both = ["Without effect: body_seg, body_first"]
    assert answer["idle"] == {
        "total": [],
        "total liver": both,
        "total_mr": both,
        "brain_aneurysm": ["Without effect: body_first"],
        "liver_vessels": both,
    }


def test_memory_of_an_apple_gpu_is_given_back(answer):
    assert answer["freed"] == {"sums on": "cpu", "emptied": ["mps"]}
