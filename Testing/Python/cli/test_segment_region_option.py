"""``--region``: understood or refused, kept for ``rerun``, and told apart by a batch."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from SampleData.phantoms import torso_ct
from support.threshold import use_threshold_engine

from TotalSegmentatorLib.images import voxel_box, write_nifti

REGION, OTHER = "-40,40,-30,30,-30.5,30", "-40,40,-30,30,-20,30"


@pytest.fixture
def segment(call, monkeypatch, runs, tmp_path):
    """The command, on the phantom of a torso, with an engine that thresholds."""
    use_threshold_engine(monkeypatch)
    write_nifti(torso_ct(), tmp_path / "ct.nii.gz")

    def segment(output: str, *more: object):
        arguments = ["-o", tmp_path / output, "--task", "body", *more]
        return call("segment", tmp_path / "ct.nii.gz", *arguments)

    return segment


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3", "a,b,c,d,e,f", "10,0,0,10,0,10", "0,0,0,10,0,10", "0,nan,0,10,0,10",
     "0,inf,0,10,0,10", "0 10 0 10 0 10", "0,10,0,10,0,10,20"],
)  # fmt: skip
def test_bad_text_is_one_sentence(segment, text, tmp_path):
    answer = segment("out.nii.gz", "--region", text)
    assert answer.code == 2
    (line,) = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert line.endswith("[input.bad_region]") and "six numbers in mm" in line
    assert not (tmp_path / "out.nii.gz").exists()


def test_a_region_beside_the_image(segment, tmp_path):
    answer = segment("out.nii.gz", "--region", "500,600,500,600,500,600")
    assert answer.code == 2 and "[input.region_outside]" in answer.err
    answer = segment("out.nii.gz", "--region", "0,2,-30,30,-30,30")
    assert answer.code == 2 and "[input.region_too_small]" in answer.err
    assert not (tmp_path / "out.nii.gz").exists()


def test_help_names_unit_and_axes(call):
    text = " ".join(call("segment", "--help").out.split())
    assert "--region" in text and "mm" in text and "RAS" in text


def test_labels_lie_in_the_region_of_the_whole_image_and_rerun_repeats_it(segment, call, tmp_path):
    answer = segment("out.nii.gz", "--region", REGION, "--report", tmp_path / "report.json")
    assert answer.code == 0, answer.err
    labels = nibabel.load(tmp_path / "out.nii.gz")
    report = json.loads((tmp_path / "report.json").read_text())
    region = [tuple(point) for point in report["request"]["region"]]
    assert len(region) == 8 and (-40.0, -30.0, -30.5) in region
    inside = np.zeros(torso_ct().array.shape, bool)
    inside[voxel_box(torso_ct(), region)] = True
    wanted = np.where(inside, (torso_ct().array > 100).astype(int) + (torso_ct().array > 300), 0)
    assert np.array_equal(np.asanyarray(labels.dataobj).T, wanted) and wanted.any()
    again = call("rerun", tmp_path / "report.json", "-o", tmp_path / "again.nii.gz")
    assert again.code == 0, again.err
    assert "same voxel counts" in again.err
    repeated = np.asanyarray(nibabel.load(tmp_path / "again.nii.gz").dataobj)
    assert np.array_equal(repeated.T, wanted)


def test_a_batch_resumes_the_same_region_only(segment, tmp_path):
    states = []
    for region in (REGION, REGION, OTHER):
        answer = segment("results", "--region", region, "--json")
        (outcome,) = json.loads(answer.out)
        states.append((answer.code, outcome["state"], outcome["code"]))
    assert states == [(0, "done", ""), (0, "skipped", ""), (2, "failed", "output.exists")]
    assert segment("results").code == 2  # the whole image is something else, too
