"""The command ``dicom``: with a stand-in for the engine, and with the engine."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import MediaStorageDirectoryStorage
from SampleData.dicom_ct import fetch
from SampleData.dicom_series import Grid, made_slices, real_slices, save, write_series
from support.workflow_parts import StandIn

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.dicom_workflow import planning
from TotalSegmentatorLib.dicom_workflow.record import REPORT
from TotalSegmentatorLib.dicom_workflow.staging import FOLDER
from TotalSegmentatorLib.errors import EngineError
from TotalSegmentatorLib.images import read_image


@pytest.fixture
def studies(tmp_path) -> Path:
    """A CT series, an MR series of another patient, and what lies beside them."""
    folder = tmp_path / "studies"
    save(made_slices(), folder / "a" / "b")
    save(made_slices(modality="MR", patient="2", series=5), folder / "c")
    (folder / "notes.txt").write_text("no image")
    (folder / "c" / "empty.dcm").write_bytes(b"")
    return folder


@pytest.fixture
def dicom(call, tmp_path, studies, monkeypatch):
    """Calls the command on the studies, with a stand-in for the engine."""
    output = tmp_path / "results"
    stand_in = StandIn(output)
    read = planning.attribute_of
    stand_in.use(monkeypatch)
    monkeypatch.setattr(planning, "attribute_of", read)

    def dicom(*arguments: object):
        known = ["--engine-python", sys.executable]
        return call("dicom", studies, output, *known, *arguments)

    dicom.stand_in, dicom.output = stand_in, output
    return dicom


def uids(studies: Path) -> dict[str, str]:
    """Modality -> SeriesInstanceUID."""
    heads = [dcmread(path) for path in (studies / "a/b/0001.dcm", studies / "c/0001.dcm")]
    return {head.Modality: head.SeriesInstanceUID for head in heads}


def test_each_series_gets_a_folder_and_the_report_tells_of_all(dicom, studies):
    before = {path: path.read_bytes() for path in studies.rglob("*") if path.is_file()}
    answer = dicom()
    assert answer.code == 0, answer.err
    assert answer.out.strip() == str(dicom.output / REPORT)
    known = uids(studies)
    assert set(dicom.stand_in.files()) == {
        f"{uid}/TotalSegmentator.seg.dcm" for uid in known.values()
    }
    report = json.loads((dicom.output / REPORT).read_text())
    assert {one["uid"]: one["state"] for one in report["series"]} == dict.fromkeys(
        known.values(), "done"
    )
    assert report["other_files"] == {"no DICOM": 2}
    assert {task for _, _, task in dicom.stand_in.ran} == {"total", "total_mr"}
    assert {path: path.read_bytes() for path in studies.rglob("*") if path.is_file()} == before
    again = dicom("--json")
    assert {one["state"] for one in json.loads(again.out)["series"]} == {"skipped"}
    assert again.code == 0


def test_a_dry_run_lists_and_does_nothing(dicom, studies):
    answer = dicom("--dry-run", "--json", "--rtstruct")
    assert answer.code == 0, answer.err
    found = {one["modality"]: one for one in json.loads(answer.out)}
    ((ct,), (mr,)) = found["CT"]["results"], found["MR"]["results"]
    assert (ct["task"], ct["slices"], ct["done"], mr["task"]) == ("total", 8, False, "total_mr")
    assert ct["files"] == [
        f"{found['CT']['uid']}/TotalSegmentator.{kind}.dcm" for kind in ("seg", "rtstruct")
    ]
    assert not dicom.output.exists()
    table = dicom("--dry-run", "--task", "total").out
    assert "CT series 3" in table
    assert "will be segmented" in table
    assert "Use the task total_mr" in table


def test_a_dry_run_tells_no_paths(call, studies, tmp_path, monkeypatch):
    reading = Path.open

    def refused(path, *arguments, **options):
        if path.parent.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return reading(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    answer = call("dicom", studies, tmp_path / "out", "--dry-run", "--json")
    assert "input.not_readable" in answer.out
    assert str(tmp_path) not in answer.out


def test_slices_that_are_too_few_are_ignored(call, tmp_path):
    save(made_slices()[:2], tmp_path / "in")
    answer = call("dicom", tmp_path / "in", tmp_path / "out")
    assert (answer.code, "[input.no_series]" in answer.err) == (2, True)
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert [(one["state"], one["code"]) for one in report["series"]] == [
        ("ignored", "input.too_small")
    ]


def test_options_go_before_the_configuration(dicom, studies, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text(
        "execute: [DicomImporter, NiftiConverter, TotalSegmentatorMLRunner, DsegConverter,"
        " DataOrganizer]\n"
        "modules: {TotalSegmentatorMLRunner: {task: body, speed: fast}}"
    )
    listed = ["--config", config, "--dry-run", "--json", "--series", uids(studies)["CT"]]

    def listed_tasks(*arguments: str) -> list[str]:
        (series,) = json.loads(dicom(*listed, *arguments).out)
        return [one["task"] for one in series["results"]]

    assert listed_tasks() == ["body"]
    assert listed_tasks("--set", "modules.TotalSegmentatorMLRunner.task=total") == ["total"]
    assert listed_tasks("--config:modules.TotalSegmentatorMLRunner.task=total") == ["total"]
    assert listed_tasks("--task", "total", "--task", "body") == ["total", "body"]


def test_the_configuration_may_come_from_a_pipe_and_say_where_things_are(
    call, studies, tmp_path, dicom, monkeypatch
):
    text = f"""
general: {{data_base_dir: '{tmp_path.as_posix()}'}}
execute: [DicomImporter, NiftiConverter, TotalSegmentatorMLRunner, DsegConverter, DataOrganizer]
modules:
  DicomImporter: {{source_dir: studies, import_dir: sorted_data}}
  DataOrganizer: {{target_dir: results}}
"""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    answer = call("dicom", "--config", "-", "--engine-python", sys.executable)
    assert answer.code == 0, answer.err
    assert len(dicom.stand_in.files()) == 2
    assert not (tmp_path / "sorted_data").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--set", "modules.DsegConvertor.deflate=true"], "input.bad_config", "DsegConverter"),
        (["--config", "missing.yml"], "input.bad_config", "missing.yml cannot be read"),
        (["--task", "totl"], "input.unknown_task", "total"),
        (["--fast", "--fastest"], "input.bad_option", "exclude each other"),
        (["--structures", ","], "input.no_structure", ""),
        (["--series", "1.2.3"], "input.unknown_series", ""),
        (["--volume", "7"], "input.no_volume", ""),
        (["--labelmap", "--deflate"], "input.bad_config", "cannot be deflated"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_run(dicom, arguments, code, said):
    answer = dicom(*arguments)
    assert answer.code == 2
    assert f"[{code}]" in answer.err
    assert said in answer.err
    assert dicom.stand_in.ran == []
    assert not (dicom.output / REPORT).exists()


def test_input_and_output_stay_apart(call, studies, tmp_path):
    for output in (studies, studies / "results", tmp_path):
        answer = call("dicom", studies, output)
        assert (answer.code, "[output.is_input]" in answer.err) == (2, True)
    assert not (studies / "results").exists()
    for arguments, code in (([studies], "no_output"), (["nowhere", "x"], "no_image")):
        answer = call("dicom", *arguments)
        assert (answer.code, f"[input.{code}]" in answer.err) == (2, True)


def test_a_folder_without_series_is_named(call, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no image")
    save(made_slices(Modality="US"), tmp_path / "in" / "us")
    answer = call("dicom", tmp_path / "in", tmp_path / "out")
    assert answer.code == 2
    assert "[input.no_series]" in answer.err
    assert "1 US" in answer.err
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert [one["state"] for one in report["series"]] == ["ignored"]


def test_a_task_without_weights_is_told_of_its_series(call, studies, tmp_path, monkeypatch):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    answer = call("dicom", studies, tmp_path / "out", "--engine-python", sys.executable)
    assert answer.code == 4
    assert answer.err.count("[weights.missing]") == 2
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert {one["code"] for one in report["series"]} == {"weights.missing"}


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="permission bits, not for root")
def test_read_only_images_are_enough(dicom, studies):
    for path in (studies, *studies.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert dicom().code == 0
    finally:
        for path in (studies, *studies.rglob("*")):
            path.chmod(0o755)


def test_workers_go_on_at_the_same_time(dicom, studies):
    """And the files and states are those of one."""
    assert dicom().code == 0
    alone, files = json.loads((dicom.output / REPORT).read_text()), dicom.stand_in.files()
    both = threading.Barrier(2)
    dicom.stand_in.before = lambda: both.wait(20)
    answer = dicom("--overwrite", "--workers", 2)
    assert answer.code == 0, answer.err
    assert dicom.stand_in.files() == files
    series = json.loads((dicom.output / REPORT).read_text())["series"]
    state = {one["uid"]: (one["state"], one["files"]) for one in series}
    assert state == {one["uid"]: (one["state"], one["files"]) for one in alone["series"]}


def test_a_failure_leaves_the_other_workers_alone(dicom, studies):
    known = uids(studies)
    failure = EngineError("engine.crashed", "It ended.", "Try again.")
    dicom.stand_in.fail[known["CT"], 1, "total"] = failure
    answer = dicom("--workers", 2)
    assert answer.code == 3
    assert "[engine.crashed]" in answer.err
    assert list(dicom.stand_in.files()) == [f"{known['MR']}/TotalSegmentator.seg.dcm"]
    assert not (dicom.output / FOLDER).exists()


# ---- with the engine ------------------------------------------------------------------------


def sample_series(folder: Path, sample, **options: object) -> list[Path]:
    """The CT that the demo model knows, as a DICOM series."""
    image, _ = read_image(sample.ct)
    directions = (np.diag([-1.0, -1.0, 1.0]) @ image.directions).T
    origin = np.diag([-1.0, -1.0, 1.0]) @ image.ijk_to_ras[:3, 3]
    i, j, k = image.spacing
    grid = Grid(tuple(directions[0]), tuple(directions[1]), (j, i, k), tuple(origin))
    return write_series(folder, np.clip(image.array, -1024, 3071), grid, **options)


@pytest.fixture
def two_studies(tmp_path, sample) -> Path:
    """Two real studies in one folder, with junk beside them."""
    folder = tmp_path / "studies"
    sample_series(folder / "first", sample)
    save(real_slices(fetch()), folder / "second" / "ct")
    save(made_slices(Modality="US", patient="3"), folder / "us")
    (directory,) = made_slices()[:1]
    directory.SOPClassUID = MediaStorageDirectoryStorage
    directory.save_as(folder / "DICOMDIR")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.mark.slow
def test_two_real_studies(call, two_studies, engine, tmp_path, runs):
    output = tmp_path / "results"
    options = ("--task", "demo", "--threads", 1, "--engine-python", engine.python)
    command = ["dicom", two_studies, output, *options]
    answer = call(*command, "--rtstruct", "--sr", "--json")
    assert answer.code == 0, answer.err
    series = {one["uid"]: one for one in json.loads(answer.out)["series"]}
    states = sorted(one["state"] for one in series.values())
    assert states == ["done", "done", "ignored"]
    assert list(runs.iterdir()) == []
    for uid, one in series.items():
        names = [f"{uid}/TotalSegmentator.{kind}.dcm" for kind in ("seg", "rtstruct", "sr")]
        assert one["files"] == (names if one["state"] == "done" else [])
        assert sorted(one["files"]) == sorted(
            path.relative_to(output).as_posix() for path in output.glob(f"{uid}/*")
        )
    first = dcmread(two_studies / "first" / "0001.dcm")
    result = series[first.SeriesInstanceUID]["results"][0]
    assert len(result["found"]) >= 25
    assert set(result["found"]) | set(result["absent"]) == set(catalog.task("demo").labels.values())
    written = highdicom.seg.segread(output / first.SeriesInstanceUID / "TotalSegmentator.seg.dcm")
    assert written.StudyInstanceUID == first.StudyInstanceUID
    assert written.number_of_segments == len(result["found"])
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.dcm")}
    again = call(*command, "--rtstruct", "--sr", "--json")
    assert {one["state"] for one in json.loads(again.out)["series"]} == {"skipped", "ignored"}
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.dcm")} == times
    other = call(*command, "--json")
    assert other.code == 2
    assert other.err.count("[output.exists]") == 2
    apart = tmp_path / "apart"
    assert call("dicom", two_studies, apart, *options, "--workers", 2).code == 0
    names = [path.relative_to(output) for path in output.glob("*/*.seg.dcm")]
    assert len(names) == 2
    for name in names:
        one, other = (highdicom.seg.segread(folder / name) for folder in (output, apart))
        assert np.array_equal(one.pixel_array, other.pixel_array)
    changed = call(*command, "--labelmap", "--overwrite")
    assert changed.code == 0, changed.err
    assert len(list(output.rglob("*.dcm"))) == 2
    assert not (output / FOLDER).exists()


@pytest.mark.slow
def test_a_bad_series_does_not_stop_the_good_one(call, sample, engine, tmp_path):
    studies = tmp_path / "studies"
    paths = sample_series(studies / "bad", sample, patient="2", series=1)
    sample_series(studies / "good", sample)
    paths[50].write_bytes(paths[50].read_bytes()[:5000])
    shutil.copy(__file__, studies)
    output = tmp_path / "results"
    command = ["dicom", studies, output, "--task", "demo", "--engine-python", engine.python]
    answer = call(*command, "--json")
    assert answer.code == 3, answer.err
    states = {one["number"]: one["state"] for one in json.loads(answer.out)["series"]}
    assert states == {1: "failed", 3: "done"}
    assert "[input.damaged]" in answer.err
