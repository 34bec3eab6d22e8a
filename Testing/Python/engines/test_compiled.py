"""The compiled mode: the same mathematics, admitted by comparison, and never in the way."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "run_compiled.py"
pytestmark = pytest.mark.slow


def answer(engine, *arguments) -> dict:
    command = [str(engine.python), str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def layers(engine) -> dict:
    return answer(engine, "layers")


@pytest.fixture(scope="module")
def demo(engine, sample, tmp_path_factory) -> dict:
    return answer(engine, "demo", tmp_path_factory.mktemp("demo"), sample.ct)


def test_a_compiled_network_computes_the_same(layers):
    assert set(layers["errors"]) == {"plain", "residual", "relu without bias"}
    assert max(layers["errors"].values()) < 1e-4, layers["errors"]


def test_unknown_layers_are_refused(layers):
    assert layers["refused"] == layers["of"]


def test_a_window_can_be_cancelled_and_the_network_used_again(layers):
    assert layers["cancel"]["stopped"]
    assert layers["cancel"]["share"] < 0.9
    assert layers["cancel"]["works again"]


def test_the_demo_model_agrees_in_both_modes(demo):
    assert demo["equal_voxels"] >= 0.999
    assert demo["mean_dice"] >= 0.999


def test_a_network_is_compared_once_and_the_figures_stay_beside_its_weights(demo):
    first, again = demo["first"], demo["again"]
    assert (first["compared"], again["compared"]) == (1, 0)
    assert {**first, "compared": 0} == again
    assert again["compiled"] and again["used"] and again["warnings"] == []
    assert len(demo["files"]) == 2  # the weights and the figures, no remains


def test_damaged_figures_are_made_again(demo):
    assert demo["kept"]["compared"] == 0  # this process remembers them
    assert demo["damaged"]["compared"] == 1
    assert demo["mended"]


def test_a_network_that_does_not_agree_is_run_exactly(demo):
    refused = demo["refused"]
    assert refused["warnings"] == ["engine.compiled_refused"]
    assert refused["exact"] and not refused["compiled"] and not refused["used"]


def test_no_comparison_without_a_bar(demo):
    unchecked = demo["unchecked"]
    assert unchecked["compared"] == 0
    assert unchecked["compiled"] and "mean_dice" not in unchecked


def test_figures_that_cannot_be_kept_do_not_stop_the_run(demo):
    assert demo["not written"]["compared"] == 1
    assert demo["not written"]["compiled"]


def test_an_openvino_that_fails_leads_back_to_the_exact_networks(engine, sample, tmp_path):
    found = answer(engine, "broken", tmp_path, sample.ct)
    exact = {"warnings": ["engine.not_compiled"], "same": True, "used": False}
    assert found == {"fails": exact, "cannot be imported": exact}


def test_without_openvino_or_on_a_gpu_networks_run_exactly(engine):
    found = answer(engine, "absent")
    assert found["modes"] == [False, True, False]
    assert found["warnings"] == ["engine.not_compiled"] * 2
