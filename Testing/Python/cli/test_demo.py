"""`demo`: all results on one side, and what is missing is said."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import nibabel
import pytest

from TotalSegmentatorLib.cli import demo as demo_module
from TotalSegmentatorLib.environment import make_engine
from TotalSegmentatorLib.report import DEMO_BANNER

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def demo(call, engine, sample, tmp_path, runs):
    def demo(*more: object):
        cache = ROOT / ".cache" / "sample"
        arguments = ["--yes", "--cache", cache, "--engine-python", engine.python, *more]
        return call("demo", "--output", tmp_path / "demo", *arguments)

    return demo


def test_demo_leaves_its_files_and_a_table(demo, tmp_path):
    answer = demo()
    assert answer.code == 0, answer.err
    assert DEMO_BANNER in answer.out
    assert "Liver" in answer.out and "Volume (mL)" in answer.out
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {
        "report.json",
        "segmentation.nii.gz",
        "structures.csv",
        "segmentation.png",
        "segmentation.seg.nrrd",
    }
    assert (tmp_path / "demo" / "segmentation.png").stat().st_size > 100_000
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["provenance"]["demo"] is True
    labels = nibabel.load(tmp_path / "demo" / "segmentation.nii.gz")
    assert labels.header["descrip"].item().decode() == DEMO_BANNER


@pytest.mark.slow
def test_demo_without_a_way_to_draw_keeps_the_rest_and_exits_with_3(demo, tmp_path, monkeypatch):
    real = subprocess.run

    def without_rendering(command, **options):
        if "TotalSegmentatorLib.scene.rendering" in command:
            return subprocess.CompletedProcess(command, -11, "", "Segmentation fault")
        return real(command, **options)

    monkeypatch.setattr(demo_module.subprocess, "run", without_rendering)
    answer = demo("--json")
    assert answer.code == 3
    assert len(json.loads(answer.out)["structures"]) >= 25
    assert "[environment.rendering]" in answer.err
    assert "libegl1" in answer.err
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {
        "report.json",
        "segmentation.nii.gz",
        "segmentation.seg.nrrd",
        "structures.csv",
    }


@pytest.mark.slow
def test_demo_replaces_only_its_own_results(demo, tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    (folder / "segmentation.nii.gz").write_text("another result")
    answer = demo()
    assert answer.code == 2
    assert "[output.exists]" in answer.err
    (folder / "segmentation.nii.gz").unlink()
    assert demo().code == 0
    assert demo().code == 0
    assert (folder / "thesis.txt").read_text() == "years of work"


@pytest.mark.slow
def test_second_call_downloads_and_installs_nothing(demo, monkeypatch, tmp_path):
    """With pip out of reach everything is still there."""

    def no_pip(*arguments: object, **options: object) -> None:
        raise AssertionError(f"something was started: {arguments}")

    monkeypatch.setattr("TotalSegmentatorLib.environment.installers.observed_run", no_pip)
    monkeypatch.setattr("TotalSegmentatorLib.environment.pypi_files.subprocess.run", no_pip)
    assert make_engine(ROOT / ".venv-engine")["TotalSegmentator"] == "2.18.0"
    shutil.rmtree(tmp_path / "demo", ignore_errors=True)
    monkeypatch.setattr(demo_module, "_draw", lambda *arguments: True)
    assert demo().code == 0
