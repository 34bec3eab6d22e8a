"""The steps that a GPU takes, on the CPU, beside their exact twins."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "run_on_device.py"

pytestmark = pytest.mark.slow  # the engine's process imports PyTorch


@pytest.fixture(scope="module")
def answer(engine) -> dict:
    command = [str(engine.python), "-W", "ignore", str(SCRIPT)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def test_images_are_resampled_to_the_voxels_of_scipy(answer):
    differing = answer["zoomed"]["differing"]
    assert differing == dict.fromkeys(differing, 0)
    assert len(differing) > 50
    types = {"u2": "torch.int32", "i2": "torch.int16", "f8": "torch.float64"}
    assert answer["zoomed"]["types"] == types


def test_in_single_precision_voxels_at_a_tie_differ_by_one(answer):
    """On Apple's GPUs; the sizes are chosen so that a tenth of the voxels are at a tie."""
    single = answer["zoomed"]["in_single"]
    assert single["largest"] == 1
    assert 0 < single["share"] < 0.05


def test_intensities_are_normalised_alike(answer):
    largest = answer["normalised"]
    assert len(largest) == 8
    for case, difference in largest.items():
        # Means of millions of voxels are more exact here than in nnU-Net's single precision.
        assert difference <= (1e-6 if case.startswith("ZScore") else 0), case


def test_volumes_are_prepared_alike(answer):
    assert len(answer["prepared"]) == 9
    for name, case in answer["prepared"].items():
        assert case["same"] and case["unchanged"], name
        assert case["largest"] <= 1e-6, name


def test_pieces_are_those_of_scipy(answer):
    pieces = answer["pieces"]
    assert pieces["differing"] == dict.fromkeys(pieces["counts"], 0)
    assert pieces["holes"] == dict.fromkeys(pieces["counts"], 0)
    assert pieces["counts"]["snake"] == pieces["counts"]["spiral"] == 1
    assert pieces["counts"]["nothing"] == 0


def test_pieces_are_removed_alike(answer):
    cases = answer["cleaned"]
    assert {name: differing for name, (differing, _) in cases.items() if differing} == {}
    assert sum(changed > 0 for _, changed in cases.values()) > 20


def test_as_many_windows_are_computed_at_once_as_memory_allows(answer):
    """Windows of 128 voxels, 32 features and 25 classes: 0.6 GiB each, and as much for the sums."""
    assert answer["fitting"]["at_once"] == [1, 1, 2, 4, 4]
    assert answer["fitting"]["cpu"] == [[1, "cpu"]]


def test_out_of_memory_leads_to_ways_that_need_less(answer):
    tried = answer["fitting"]["tried"]
    every_way = [[4, "cuda"], [1, "cuda"], [1, "cpu"]]
    assert tried["enough"] == [every_way[:1], "done"]
    assert tried["no memory for sums"] == [every_way, "done"]
    assert tried["never enough"] == [every_way, "gpu.out_of_memory"]
    assert tried["another error"] == [every_way[:2], "engine.failed"]


def test_only_cuda_is_given_other_algorithms_and_only_for_the_run(answer):
    assert answer["fitting"]["algorithms"] == {"cpu": False, "cuda": True, "after": False}
