"""The official package in the engine process, on weights of its own architecture made here."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest

from TotalSegmentatorLib.errors import CancelledError
from TotalSegmentatorLib.images import read_image
from TotalSegmentatorLib.jobs import Log, Progress, Request, Stage, Started
from TotalSegmentatorLib.segment import segment
from TotalSegmentatorLib.session import Settings

MAKER = Path(__file__).resolve().parents[2] / "SampleData" / "made_weights.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def weights(engine, tmp_path_factory) -> Path:
    """Narrow networks with random values, as folders that the package takes for its own."""
    folder = tmp_path_factory.mktemp("weights")
    for task, speed, structures in (
        ("total", "fast", []),
        ("total", "normal", ["liver"]),
        ("breasts", "normal", []),
        ("body", "fast", []),
    ):
        arguments = [folder, "--task", task, "--speed", speed, "--features", "4", "--patch", "64"]
        command = [engine.python, MAKER, *arguments, "--structures", *structures]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return folder


def start(engine, weights, sample, request, events):
    image, notices = read_image(sample.ct_small)
    request = dataclasses.replace(request, engine="totalsegmentator")
    settings = Settings(engine, weights=weights)
    return segment(image, request, settings, notices, events.append)


def test_fast_run(engine, weights, sample, runs):
    events: list = []
    result = start(engine, weights, sample, Request("total", speed="fast"), events).wait()
    assert len(result.merged().label_names) == 117
    assert result.segments
    assert set(np.unique(result.merged().labels.array)) <= {0, *result.merged().label_names}
    assert result.provenance["engine"] == "totalsegmentator"
    assert result.provenance["versions"]["TotalSegmentator"] == "2.18.0"
    assert result.provenance["model"] == ["Dataset297_TotalSegmentator_total_3mm_1559subj"]
    assert Stage("Running the network") in events
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert any(0.2 < fraction < 0.9 for fraction in fractions)
    assert list(runs.iterdir()) == []


def test_labels_are_those_of_the_package_called_directly(engine, weights, sample, tmp_path):
    """Same weights, same image, the package's own command line."""
    result = start(engine, weights, sample, Request("total", speed="fast"), []).wait()
    code = (
        "import sys\n"
        "from TotalSegmentatorLib.engines.trainers import find_trainer\n"
        "from totalsegmentator import nnunet, python_api\n"
        "name = 'nnUNetTrainer_4000epochs_NoMirroring'\n"
        "python_api.send_usage_stats = lambda *a: None\n"
        "nnunet.custom_trainers[name] = find_trainer(name)\n"
        "if __name__ == '__main__':\n"
        "    image, output = sys.argv[1:]\n"
        "    python_api.totalsegmentator(image, output, ml=True, fast=True, device='cpu')\n"
    )
    script, output = tmp_path / "direct.py", tmp_path / "direct.nii.gz"
    script.write_text(code)
    variables = engine.command({"TOTALSEG_WEIGHTS_PATH": str(weights)}).variables
    command = [str(engine.python), str(script), str(sample.ct_small), str(output)]
    subprocess.run(command, env=dict(variables), check=True, capture_output=True)
    direct = np.asanyarray(nibabel.load(output).dataobj).T
    assert np.array_equal(result.merged().labels.array, direct)


def test_subset_runs_only_the_parts_it_needs(engine, weights, sample, runs):
    """liver is in part 1 of 5; the rough model for the crop is made too."""
    events: list = []
    request = Request("total", structures=("liver",))
    result = start(engine, weights, sample, request, events).wait()
    assert set(result.merged().label_names.values()) == {"liver"}
    assert result.provenance["model"] == [
        "Dataset298_TotalSegmentator_total_6mm_1559subj",
        "Dataset291_TotalSegmentator_part1_organs_1559subj",
    ]
    assert list(runs.iterdir()) == []


def test_structures_of_two_tasks_are_two_layers_of_one_result(engine, weights, sample, runs):
    """Without a task named; the download guard of the first run must not bind the second."""
    events: list = []
    request = Request(structures=("liver", "breast"))
    result = start(engine, weights, sample, request, events).wait()
    assert len({event.pid for event in events if isinstance(event, Started)}) == 1
    assert [set(layer.label_names.values()) for layer in result.layers] == [{"liver"}, {"breast"}]
    assert result.merged().label_names == {1: "liver", 2: "breast"}
    assert [run["request"]["task"] for run in result.report["runs"]] == ["total", "breasts"]
    assert {s["task"] for s in result.report["structures"]} == {"total", "breasts"}
    again = dataclasses.replace(request, engine="totalsegmentator")
    assert Request.from_dict(result.report["request"]) == again
    assert any("task breasts for breast" in e.text for e in events if isinstance(e, Log))
    assert list(runs.iterdir()) == []


def test_body_comes_with_its_derived_structures(engine, weights, sample, runs):
    request = Request("body", speed="fast", options={"threads": 1})
    result = start(engine, weights, sample, request, []).wait()
    names = [set(layer.label_names.values()) for layer in result.layers]
    assert names == [{"body"}, {"body_trunc", "body_extremities"}, {"skin"}]
    body, own, _ = (layer.labels.array for layer in result.layers)
    assert np.array_equal(body > 0, own > 0) and own.any()
    assert result.provenance["threads"] == 1
    assert result.merged().label_names == {1: "body_trunc", 2: "body_extremities"}
    assert list(runs.iterdir()) == []


def in_engine(engine, *arguments: object) -> dict:
    """What a command of ``run_engine_code.py`` prints."""
    command = [engine.python, Path(__file__).with_name("run_engine_code.py"), *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_derived_structures_are_those_of_the_package(engine, tmp_path):
    answer = in_engine(engine, "derived", tmp_path)
    for name, value, beneath in (("body", 3, True), ("skin", 4, False)):
        assert answer[name]["same"] and answer[name]["voxels"] > 1000
        assert (answer[name]["value"], answer[name]["beneath"]) == (value, beneath)
    assert answer["restricted"] == {"skin": [["skin"]], "body_trunc": []}


def test_the_number_of_threads_is_kept_whatever_a_library_sets(engine):
    answer = in_engine(engine, "threads")
    assert answer["inside"] == 2 and answer["after"] == answer["before"]
    assert answer["left"] == 1  # without the option libraries are free


def test_options_reach_the_package(engine, tmp_path):
    """With a stand-in of its function."""
    called = in_engine(engine, "options", tmp_path)
    assert called["remove_small_blobs"] == 75 and called["force_split"] is True
    assert called["seen_threads"] == called["provenance"] == 3
    assert not {"threads", "small_blobs_mm3"} & called.keys()
    assert called["own"] == [] and called["derived"] == [["skin"]]


def test_the_package_gets_only_models_that_are_here_and_hold_no_code(engine, tmp_path):
    """It would download what is missing, and run whatever code a checkpoint holds."""
    answer = in_engine(engine, "weights", tmp_path)
    first, second = answer["folders"]
    code, text = answer["missing"]
    assert code == "weights.missing" and second in text and first not in text
    code, text = answer["with code"]
    assert code == "input.untrusted_model" and second in text
    assert answer["called"] == []
    assert answer["whole"] == [] and answer["called at last"] == ["the package"]


def test_cancel_in_the_network(engine, weights, sample, runs):
    events: list = []
    job = start(engine, weights, sample, Request("total", speed="fast"), events)
    while job.poll() and Stage("Running the network") not in events:
        pass
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert list(runs.iterdir()) == []
