"""Real runs from the command line: files, batches, interruption."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from SampleData.bad_inputs import dicom_series
from support.processes import engine_processes, wait_until_gone

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment import resources_folder
from TotalSegmentatorLib.images import read_nifti_label_names

ROOT = Path(__file__).resolve().parents[3]
COMMAND = ROOT / ".venv" / "bin" / "slicer-totalsegmentator"
DEMO = resources_folder() / "Models" / "Demo"


@pytest.fixture
def segment(call, engine, runs):
    def segment(*arguments: object):
        return call("segment", *arguments, "--task", "demo", "--engine-python", engine.python)

    return segment


@pytest.mark.slow
def test_labelmap_is_official_in_values_type_grid_and_names(segment, sample, tmp_path, runs):
    output, report = tmp_path / "out.nii.gz", tmp_path / "report.json"
    answer = segment(sample.ct, "-o", output, "--report", report)
    assert answer.code == 0, answer.err
    assert answer.out.strip() == str(output)
    assert "[demo.model]" in answer.err
    assert "[demo.other_image]" not in answer.err
    labels, image = nibabel.load(output), nibabel.load(sample.ct)
    assert labels.get_data_dtype() == np.uint8
    assert labels.header["descrip"].item().startswith(b"DEMO MODEL")
    assert labels.shape == image.shape
    assert np.allclose(labels.affine, image.affine, atol=1e-5)
    assert read_nifti_label_names(output) == catalog.task("demo").labels
    values = set(np.unique(np.asanyarray(labels.dataobj))) - {0}
    structures = json.loads(report.read_text())["structures"]
    assert values == {s["label"] for s in structures if s["found"]}
    assert len(values) >= 25
    assert list(runs.iterdir()) == []


def test_segmentation_file_and_report_on_standard_output(segment, sample, tmp_path):
    output = tmp_path / "out.seg.nrrd"
    answer = segment(sample.ct, "-o", output, "--structures", "liver,spleen", "--json")
    assert answer.code == 0, answer.err
    report = json.loads(answer.out)
    assert [s["id"] for s in report["structures"]] == ["spleen", "liver"]
    assert report["provenance"]["demo"] is True
    assert report["request"]["structures"] == ["liver", "spleen"]
    liver = next(s for s in report["structures"] if s["id"] == "liver")
    file = sitk.ReadImage(str(output))
    keys = {file.GetMetaData(f"Segment{i}_ID"): i for i in (0, 1)}
    assert file.GetMetaData(f"Segment{keys['liver']}_Name") == "Liver"
    voxels = int((sitk.GetArrayViewFromImage(file) == liver["label"]).sum())
    assert voxels == liver["voxels"]
    assert liver["volume_ml"] == pytest.approx(voxels * 27 / 1000)
    assert 500 < liver["volume_ml"] < 2500


@pytest.mark.slow
def test_another_image_is_warned_about(segment, sample, tmp_path):
    image = nibabel.load(sample.ct)
    other = tmp_path / "other.nii.gz"
    voxels = np.asanyarray(image.dataobj).copy()
    voxels[0, 0, 0] += 1
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), other)
    answer = segment(other, "-o", tmp_path / "out.nii.gz")
    assert answer.code == 0
    assert "[demo.other_image]" in answer.err


@pytest.mark.slow
def test_model_folder(call, sample, engine, tmp_path):
    output = tmp_path / "out.nii.gz"
    arguments = ["--model", DEMO, "--engine-python", engine.python, "--step-size", "1"]
    answer = call("segment", sample.ct, "-o", output, *arguments)
    assert answer.code == 0, answer.err
    assert read_nifti_label_names(output) == catalog.task("demo").labels


@pytest.mark.parametrize(
    "damage",
    [
        "no plans",
        pytest.param("cut checkpoint", marks=pytest.mark.slow),
        pytest.param("code in checkpoint", marks=pytest.mark.slow),
    ],
)
def test_bad_model_folder(damage, call, sample, engine, tmp_path, runs):
    model = tmp_path / "model"
    shutil.copytree(DEMO, model)
    checkpoint = model / "fold_0" / "checkpoint_final.pth"
    code = "input.bad_model"
    if damage == "no plans":
        (model / "plans.json").unlink()
    elif damage == "cut checkpoint":
        checkpoint.write_bytes(checkpoint.read_bytes()[:100_000])
    else:
        write = f"import torch, pathlib; torch.save(pathlib.PurePath('x'), {str(checkpoint)!r})"
        subprocess.run([engine.python, "-c", write], check=True)
        code = "input.untrusted_model"
    output = tmp_path / "out.nii.gz"
    arguments = ["--model", model, "--engine-python", engine.python]
    answer = call("segment", sample.ct, "-o", output, *arguments)
    assert answer.code == 2, answer.err
    assert f"[{code}]" in answer.err
    assert not output.exists()
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_batch_goes_on_after_a_bad_image_and_resumes(segment, sample, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(sample.ct, images / "good.nii.gz")
    (images / "bad.nii.gz").write_text("no image")
    results = tmp_path / "results"
    answer = segment(images, "-o", results)
    assert answer.code == 3
    assert answer.out.strip() == str(results / "summary.csv")
    rows = {row["name"]: row for row in csv.DictReader((results / "summary.csv").open())}
    assert rows["good"]["state"] == "done"
    assert rows["bad"]["code"] == "input.not_an_image"
    good = results / "good"
    assert {path.name for path in good.iterdir()} == {
        "report.json",
        "segmentation.nii.gz",
        "segmentation.seg.nrrd",
        "structures.csv",
    }
    written = (good / "report.json").stat().st_mtime_ns
    again = segment(images, "-o", results, "--json")
    assert {o["name"]: o["state"] for o in json.loads(again.out)} == {
        "good": "skipped",
        "bad": "failed",
    }
    assert (good / "report.json").stat().st_mtime_ns == written


@pytest.mark.slow
def test_batch_does_not_take_another_patient_s_result_for_this_one(segment, sample, tmp_path):
    first, second, results = tmp_path / "first", tmp_path / "second", tmp_path / "results"
    for folder in (first, second):
        folder.mkdir()
    shutil.copy(sample.ct, first / "ct.nii.gz")
    shutil.copy(sample.ct_small, second / "ct.nii.gz")
    assert segment(first / "ct.nii.gz", "-o", results).code == 0
    before = (results / "ct" / "report.json").read_bytes()
    answer = segment(second / "ct.nii.gz", "-o", results)
    assert answer.code == 2
    assert "[output.exists]" in answer.err
    assert (results / "ct" / "report.json").read_bytes() == before


def test_batch_never_writes_into_its_input(segment, tmp_path):
    series = tmp_path / "patient1"
    series.mkdir()
    files = {path: path.read_bytes() for path in dicom_series(series, 8)}
    answer = segment(series, "-o", tmp_path, "--overwrite")
    assert answer.code == 2
    assert "[output.is_input]" in answer.err
    assert {path: path.read_bytes() for path in series.iterdir()} == files


@pytest.mark.slow
def test_kept_files_are_named_and_stay(segment, sample, tmp_path, runs):
    answer = segment(sample.ct, "-o", tmp_path / "out.nii.gz", "--keep-files")
    assert answer.code == 0
    (kept,) = runs.iterdir()
    assert str(kept) in answer.err
    assert {"image.nii", "labels-0.nii"} <= {path.name for path in (kept / "image-1").iterdir()}
    assert segment(sample.ct, "-o", tmp_path / "again.nii.gz").code == 0
    assert list(runs.iterdir()) == [kept]


def test_report_and_result_have_two_names(segment, sample, tmp_path):
    output = tmp_path / "out.nii.gz"
    answer = segment(sample.ct, "-o", output, "--report", output)
    assert answer.code == 2
    assert "[output.twice]" in answer.err
    assert not output.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "how",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_interruption_leaves_no_process_and_no_file(how, sample, engine, tmp_path, runs):
    output = tmp_path / "out.seg.nrrd"
    arguments = ["--task", "demo", "--engine-python", engine.python]
    process = subprocess.Popen(
        [COMMAND, "segment", sample.ct, "-o", output, *arguments],
        env={**os.environ, "TMPDIR": str(runs)},
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not engine_processes(runs) and time.monotonic() < end:
        time.sleep(0.02)
    assert engine_processes(runs)
    process.send_signal(how)
    message = process.communicate(timeout=30)[1]
    assert wait_until_gone(runs) == []
    if how is signal.SIGKILL:
        end = time.monotonic() + 10
        while list(runs.iterdir()) and time.monotonic() < end:
            time.sleep(0.05)
    else:
        assert process.returncode == 130
        assert "cancelled" in message.lower()
        assert "Traceback" not in message
    assert list(runs.rglob("*")) == []
    assert not output.exists()
