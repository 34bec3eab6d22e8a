"""The demo model through the nnunet engine, against the official labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.dice import dice

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.images import read_image, read_labelmap, same_grid
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.segment import segment
from TotalSegmentatorLib.session import Settings

TASK = catalog.task("demo")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(engine, sample):
    image, notices = read_image(sample.ct)
    return segment(image, Request("demo"), Settings(engine), notices).wait()


def official(sample) -> np.ndarray:
    """The official labels, renumbered to the demo task's values."""
    reference = read_labelmap(sample.reference)
    values = {name: value for value, name in catalog.task("total").labels.items()}
    renumbered = np.zeros_like(reference.array)
    for value, name in TASK.labels.items():
        renumbered[reference.array == values[name]] = value
    return renumbered


def test_mean_dice_against_the_official_labels(result, sample, capsys):
    assert same_grid(result.merged().labels, read_labelmap(sample.reference))
    scores = dice(result.merged().labels.array, official(sample), TASK.labels)
    assert len(scores) >= 25
    assert np.mean(list(scores.values())) >= 0.90, scores
    assert min(scores.values()) >= 0.75, scores


def test_demo_is_marked_everywhere(result):
    assert result.provenance["demo"] is True
    codes = [warning["code"] for warning in result.report["warnings"]]
    assert codes == ["demo.model"]


def test_report_is_complete(result):
    report = json.loads(json.dumps(result.report))
    assert set(report) == {
        "schema",
        "input",
        "request",
        "provenance",
        "runs",
        "structures",
        "warnings",
        "timings_s",
    }
    assert [s["label"] for s in report["structures"]] == sorted(TASK.labels)
    for structure in report["structures"]:
        voxels = int((result.merged().labels.array == structure["label"]).sum())
        assert structure["voxels"] == voxels
        assert structure["found"] == (voxels > 0)
    liver = next(s for s in report["structures"] if s["id"] == "liver")
    assert 20 < liver["hu"]["median"] < 70  # a CT without contrast agent
    assert {"total", "running_the_network"} <= set(report["timings_s"])
    assert len(report["provenance"]["weights_sha256"][0]) == 64


@pytest.mark.slow
def test_the_number_of_threads_is_as_asked(engine, sample):
    image, notices = read_image(sample.ct)
    request = Request("demo", structures=("liver",), options={"threads": 1})
    result = segment(image, request, Settings(engine), notices).wait()
    assert result.provenance["threads"] == 1
