"""The fast engine as people meet it: what it cannot do goes elsewhere, what it knows is kept."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from engines.parity.images import Images

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.images import read_image
from TotalSegmentatorLib.jobs import Request, Stage, Warned
from TotalSegmentatorLib.segment import segment
from TotalSegmentatorLib.session import Settings

MAKER = Path(__file__).resolve().parents[2] / "SampleData" / "made_models.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image(sample, tmp_path_factory) -> Path:
    """A part of the sample CT, as 3 mm voxels: a few windows."""
    return Images(tmp_path_factory.mktemp("images"), sample.ct_small).get("plain", 3.0)


def make(engine, folder: Path, image: Path, *arguments: str) -> None:
    command = [engine.python, MAKER, folder, "--image", image, *arguments]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def weights(engine, image, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    make(engine, folder, image, "--task", "liver_vessels", "kidney_cysts", "breasts")
    return folder


def run(engine, weights, path, request, events=None):
    image, notices = read_image(path)
    settings = Settings(engine, weights=weights)
    job = segment(image, request, settings, notices, (events if events is not None else []).append)
    return job.wait()


def test_the_fast_engine_is_the_default(engine, weights, image):
    result = run(engine, weights, image, Request("breasts"))
    assert (result.provenance["engine"], result.provenance["mode"]) == ("nnunet", "exact")
    assert result.provenance["follows"].startswith("TotalSegmentator 2.18")
    official = run(engine, weights, image, Request("breasts", engine="totalsegmentator"))
    told = official.provenance
    assert (told["engine"], told["mode"]) == ("totalsegmentator", "official")
    assert told["weights_sha256"] == result.provenance["weights_sha256"] != []
    assert "connected-components-3d" in result.provenance["versions"]
    assert result.segments
    assert np.array_equal(result.merged().labels.array, official.merged().labels.array)


def test_what_is_not_covered_is_run_by_the_official_package(engine, weights, image, tmp_path):
    """A reader that gives the same image, but is unknown to the fast engine."""
    shutil.copytree(weights, tmp_path / "weights")
    (model,) = catalog.task("breasts").speeds["normal"]
    path = tmp_path / "weights" / model.folder / model.subfolder / "plans.json"
    plans = json.loads(path.read_text("utf-8"))
    plans["image_reader_writer"] = "SimpleITKIOWithReorient"
    path.write_text(json.dumps(plans), "utf-8")
    events: list = []
    result = run(engine, tmp_path / "weights", image, Request("breasts"), events)
    (warning,) = [e for e in events if isinstance(e, Warned) and e.code == "engine.official"]
    assert "SimpleITKIOWithReorient" in warning.message
    assert "engine.official" in [one["code"] for one in result.report["warnings"]]
    assert result.provenance["engine"] == "totalsegmentator"
    same = run(engine, weights, image, Request("breasts"))
    assert np.array_equal(result.merged().labels.array, same.merged().labels.array)


def test_a_model_folder_that_is_not_covered_is_run_by_nnunet(engine, weights, image, tmp_path):
    (model,) = catalog.task("breasts").speeds["normal"]
    folder = shutil.copytree(weights / model.folder / model.subfolder, tmp_path / "model")
    own = run(engine, weights, image, Request(model=str(folder)))
    path = folder / "plans.json"
    plans = json.loads(path.read_text("utf-8"))
    plans["image_reader_writer"] = "SimpleITKIOWithReorient"
    path.write_text(json.dumps(plans), "utf-8")
    events: list = []
    result = run(engine, weights, image, Request(model=str(folder)), events)
    assert any(isinstance(e, Warned) and e.code == "engine.official" for e in events)
    assert result.provenance["mode"] == "official" and own.provenance["mode"] == "exact"
    assert result.provenance["weights_sha256"] == own.provenance["weights_sha256"] != []
    assert result.provenance["model"] == own.provenance["model"] == model.folder
    assert result.segments
    assert np.array_equal(result.merged().labels.array, own.merged().labels.array)


def test_the_rough_segmentation_of_an_image_is_made_once(engine, weights, image):
    """Both tasks look for the liver among others, with the same rough model."""
    looked, told = [], []
    for task in ("kidney_cysts", "liver_vessels"):
        events: list = []
        result = run(engine, weights, image, Request(task), events)
        stages = [event.text for event in events if isinstance(event, Stage)]
        looked.append(stages[stages.index("Loading the network") + 1])
        told.append(result.provenance)
    assert looked == ["Finding the region of interest", "Running the network"]
    first, second = (one["weights_sha256"] for one in told)
    assert [len(one["weights_sha256"]) for one in told] == [len(one["model"]) for one in told]
    assert len(second) > 1 and first[0] == second[0]  # the rough model, which was not loaded again


def test_an_option_without_effect_is_told(engine, weights, image):
    result = run(engine, weights, image, Request("kidney_cysts", options={"body_first": True}))
    assert result.provenance["body_first"] is False
    assert [one["code"] for one in result.report["warnings"]].count("engine.option_idle") == 1


def test_a_model_with_regions_is_named_and_run(engine, image, tmp_path):
    make(engine, tmp_path, image, "--task", "trunk_cavities", "--kind", "regions")
    (model,) = catalog.task("trunk_cavities").speeds["normal"]
    folder = tmp_path / model.folder / model.subfolder
    result = run(engine, tmp_path, image, Request(model=str(folder)))
    assert result.provenance["mode"] == "exact"
    dataset = json.loads((folder / "dataset.json").read_text("utf-8"))
    names = [name for name in dataset["labels"] if name != "background"]
    assert set(result.merged().label_names) == set(dataset["regions_class_order"])
    assert len(names) == len(result.merged().label_names)
