"""Checkpoints and plans from anywhere: those of former versions load, code in them never runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "run_checkpoints.py"
UNTRUSTED = "input.untrusted_model"


def run(engine, *arguments) -> dict:
    command = [str(part) for part in (engine.python, SCRIPT, *arguments)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def answer(engine, tmp_path_factory) -> dict:
    return run(engine, tmp_path_factory.mktemp("checkpoints"))


def test_checkpoints_of_any_numpy_are_loaded(answer):
    expected = [0, 1, 2, 3, 4, 5, 0.5, 0.25, 0, 1, 2]
    assert answer["checkpoints"]["as written"] == {"value": expected}
    assert answer["checkpoints"]["numpy 1"] == {"value": expected}


@pytest.mark.parametrize(
    "name", ["text", "page", "nothing", "zeros", "cut off", "only weights", "a list"]
)
def test_what_is_no_checkpoint_is_called_so(answer, name):
    found = answer["checkpoints"][name]
    assert found["code"] == "input.bad_model"
    assert "trust_model" not in found["text"]


def test_code_in_a_checkpoint_runs_only_if_it_is_trusted(answer):
    assert answer["checkpoints"]["code"]["code"] == UNTRUSTED
    assert answer["checkpoints"]["code"]["ran"] is False
    assert answer["checkpoints"]["code, trusted"]["ran"] is True


@pytest.mark.parametrize("what", ["load", "plans", "checkpoint"])
def test_a_remedy_for_a_task_can_be_followed(answer, what):
    """Tasks have no option to trust a model."""
    found = answer["task"][what]
    assert found["code"] == UNTRUSTED
    assert "trust_model" not in found["text"] and answer["task"]["folder"] in found["text"]


def test_the_official_package_loads_nothing_that_came_after_the_check(answer):
    assert answer["task"]["replaced"]["code"] == UNTRUSTED


def test_a_published_checkpoint_may_hold_more_than_plain_weights(answer):
    """A release may hold what no other one did. Its plans are read by the same rules all the
    same."""
    found = answer["task"]["known"]
    assert found.pop("listed") == {"value": None}
    assert [one["code"] for one in found.values()] == [UNTRUSTED] * 4


def test_a_model_with_another_description_is_another_model(answer):
    assert answer["task"]["stamped"]


def test_plans_name_only_layers_and_networks(answer):
    codes = answer["classes"]
    allowed = {path for path, found in codes.items() if found == [None, None]}
    assert {path.split(".")[-1] for path in allowed} == {
        *("Conv3d", "LeakyReLU", "Nowhere", "PlainConvUNet", "BottleneckD"),
    }
    refused = [found for path, found in codes.items() if path not in allowed]
    assert refused == [[UNTRUSTED, UNTRUSTED]] * 6


@pytest.mark.slow
def test_the_official_predictor_is_not_given_other_plans(engine, tmp_path):
    found = run(engine, tmp_path, "official")
    assert found["code"] == UNTRUSTED and "subprocess.Popen" in found["text"]
