"""``rerun``: what a report tells of, done again."""

from __future__ import annotations

import json
import shutil
import subprocess

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from TotalSegmentatorLib.cli import rerun as rerun_module
from TotalSegmentatorLib.environment.paths import interpreter
from TotalSegmentatorLib.errors import CancelledError


@pytest.fixture(scope="module")
def first(sample, engine, tmp_path_factory):
    """The folder of a first run, made by the command itself."""
    folder = tmp_path_factory.mktemp("first")
    image = folder / "ct.nii.gz"
    shutil.copy(sample.ct, image)
    root = engine.python.parents[2]
    command = [interpreter(root / ".venv").parent / "slicer-totalsegmentator", "segment", image]
    options = ["--task", "demo", "--structures", "liver,left kidney", "--engine-python"]
    arguments = [*command, "-o", folder / "results", *options, engine.python]
    subprocess.run([str(part) for part in arguments], check=True, capture_output=True)
    return folder / "results" / "ct"


@pytest.mark.slow
def test_same_image_gives_the_same_result(first, call, engine, tmp_path, runs):
    report = json.loads((first / "report.json").read_text())
    assert report["request"]["structures"] == ["liver", "kidney_left"]
    answer = call("rerun", first / "report.json", "--engine-python", engine.python)
    assert answer.code == 0, answer.err
    output = first / "rerun"
    assert answer.out.strip() == str(output)
    assert "The result has the same voxel counts as the earlier one." in answer.err
    labels = [
        np.asanyarray(nibabel.load(f / "segmentation.nii.gz").dataobj) for f in (first, output)
    ]
    assert np.array_equal(*labels)
    again = json.loads((output / "report.json").read_text())
    assert again["request"] == report["request"] and again["input"] == report["input"]
    table = (output / "structures.csv").read_text().splitlines()
    assert len(table) == 3 and table[0].startswith("id,name,")


@pytest.mark.slow
def test_only_the_report_says_which_image_it_was(first):
    """Neither the path nor the checksum of the input is in a file with voxels."""
    report = json.loads((first / "report.json").read_text())
    path, checksum = report["input"]["path"], report["input"]["sha256"]
    nrrd = sitk.ReadImage(str(first / "segmentation.seg.nrrd"))
    texts = [nrrd.GetMetaData(key) for key in nrrd.GetMetaDataKeys()]
    extensions = nibabel.load(first / "segmentation.nii.gz").header.extensions
    texts += [e.get_content().decode() for e in extensions]
    assert not any(path in text or checksum in text or "ct.nii" in text for text in texts)
    provenance = json.loads(extensions[1].get_content().decode())
    assert provenance["task"] == "demo" and provenance["engine"] == "nnunet"
    assert provenance["requests"][0]["structures"] == ["liver", "kidney_left"]
    assert nrrd.GetMetaData("TotalSegmentator_task") == "demo"


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        ({"mode": "exact"}, {"mode": "exact"}, []),
        ({}, {"mode": "exact"}, []),  # a report of an engine that has one mode only
        ({"mode": "compiled"}, {"mode": "exact"}, ["was compiled then", "is exact now"]),
        ({"mode": "exact"}, {"mode": "official"}, ["is official now"]),
        ({"versions": {"torch": "1"}}, {"versions": {"torch": "2"}}, ["other versions"]),
    ],
)
def test_a_comparison_says_what_was_run_in_another_way(then, now, words):
    found = [{"id": "liver", "voxels": 5}]
    reports = [{"provenance": provenance, "structures": found} for provenance in (then, now)]
    same, *others = rerun_module.compare(*reports).split(". ")
    assert same.startswith("The result has the same voxel counts")
    assert len(others) == bool(words)
    assert all(word in others[0] for word in words)


@pytest.mark.slow
def test_another_image_must_be_named(first, call, engine, tmp_path, runs):
    report = json.loads((first / "report.json").read_text())
    image = nibabel.load(report["input"]["path"])
    changed = tmp_path / "changed.nii.gz"
    nibabel.save(
        nibabel.Nifti1Image(np.asanyarray(image.dataobj)[:, :, :60], image.affine), changed
    )
    report["input"]["path"] = str(changed)
    copy = tmp_path / "report.json"
    copy.write_text(json.dumps(report))
    arguments = ["-o", tmp_path / "out.nii.gz", "--engine-python", engine.python]
    answer = call("rerun", copy, *arguments)
    assert answer.code == 2 and "[input.changed]" in answer.err
    assert not (tmp_path / "out.nii.gz").exists()
    answer = call("rerun", copy, "--input", changed, *arguments)
    assert answer.code == 0, answer.err
    assert nibabel.load(tmp_path / "out.nii.gz").shape[2] == 60


def voxels(path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def test_what_is_no_report_is_refused(call, tmp_path):
    whole = {
        "schema": 1,
        "input": {"path": "", "sha256": ""},
        "request": {},
        "provenance": {},
        "structures": [],
    }
    wrong = [
        whole | {"schema": 99},
        whole | {"input": []},
        whole | {"input": {}},
        whole | {"request": "x"},
        whole | {"request": {"task": 5}},
        whole | {"request": {"structures": "liver"}},
        whole | {"request": {"options": 5}},
        whole | {"structures": [{}]},
    ]
    for content in ("", "[]", "{}", *map(json.dumps, wrong)):
        path = tmp_path / "report.json"
        path.write_text(content)
        answer = call("rerun", path, "-o", tmp_path / "out")
        assert answer.code == 2 and "[input.no_report]" in answer.err, content
    answer = call("rerun", tmp_path / "missing.json", "-o", tmp_path / "out")
    assert answer.code == 2 and "[input.no_report]" in answer.err
    path.write_text(json.dumps(whole))
    answer = call("rerun", path, "-o", tmp_path / "out")
    assert answer.code == 2 and "[input.no_path]" in answer.err


@pytest.fixture
def foreign(tmp_path, monkeypatch, call):
    """Rerun a report with these values in its request; returns the answer and what is prepared."""

    def rerun(**values: object):
        image = tmp_path / "ct.nii"
        nibabel.save(nibabel.Nifti1Image(np.zeros((12, 12, 12), np.int16), np.eye(4)), image)
        report = {
            "schema": 1,
            "input": {"path": str(image), "sha256": ""},
            "request": values,
            "provenance": {},
            "structures": [],
        }
        (tmp_path / "report.json").write_text(json.dumps(report))
        prepared = []

        def prepare(request, *_, **__):
            prepared.append(request)
            raise CancelledError

        monkeypatch.setattr(rerun_module, "prepare", prepare)
        arguments = ["--input", image, "-o", tmp_path / "out"]
        return call("rerun", tmp_path / "report.json", *arguments), prepared

    return rerun


@pytest.mark.parametrize("value", [True, "yes", False])
def test_a_report_cannot_lift_a_protection(foreign, tmp_path, value):
    """It may come from anybody, and an untrusted model can run any code."""
    options = {"trust_model": value, "step_size": 0.7}
    answer, (request,) = foreign(task="custom", model=str(tmp_path / "model"), options=options)
    assert request.options == {"step_size": 0.7}
    assert ("warning" in answer.err) is bool(value)
    assert ("--trust-model" in answer.err) is bool(value)


def test_a_report_names_its_model_in_full(foreign, tmp_path, monkeypatch):
    """Else it would be what lies below the folder in which the command happens to be called."""
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    answer, prepared = foreign(task="custom", model="model")
    assert answer.code == 2 and "[input.bad_model]" in answer.err
    assert prepared == []


def test_a_report_names_files_of_options_in_full(foreign, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").touch()
    answer, prepared = foreign(task="wholebody_ct", options={"weights": "model.pt"})
    assert answer.code == 2 and "[input.bad_option]" in answer.err and "--weights" in answer.err
    assert prepared == []
    options = {"weights": str(tmp_path / "model.pt"), "overlap": 0.5}
    _, (request,) = foreign(task="wholebody_ct", options=options)
    assert request.options == options


@pytest.mark.slow
def test_the_report_itself_is_not_overwritten(first, call):
    answer = call("rerun", first / "report.json", "-o", first, "--overwrite")
    assert answer.code == 2 and "[output.is_input]" in answer.err
