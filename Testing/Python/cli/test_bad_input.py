"""Bad input on the command line: one line, the right exit code, nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from SampleData.bad_inputs import BAD_INPUTS
from SampleData.phantoms import torso_ct

from TotalSegmentatorLib.environment import resources_folder
from TotalSegmentatorLib.images import write_nifti

DEMO = resources_folder() / "Models" / "Demo"


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def assert_refused(answer, code: str, exit_code: int = 2) -> None:
    assert answer.code == exit_code, answer.err
    assert answer.out == ""
    (line,) = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert line.endswith(f"[{code}]")
    assert "Traceback" not in answer.err


@pytest.fixture
def segment(call, work):
    def segment(path: Path, *more: object, output: object = None):
        output = work / "out.seg.nrrd" if output is None else output
        arguments = ["--task", "demo", "--engine-python", sys.executable, *more]
        return call("segment", path, "-o", output, *arguments)

    return segment


@pytest.fixture
def image(work) -> Path:
    write_nifti(torso_ct(), work / "image.nii.gz")
    return work / "image.nii.gz"


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_image(name, segment, work):
    maker, code = BAD_INPUTS[name]
    place = work / "input"
    place.mkdir()
    path = maker(place)
    before = tree(work)
    answer = segment(path)
    assert_refused(answer, code, 4 if code.startswith("memory") else 2)
    assert str(work) not in answer.err
    assert tree(work) == before


def test_unknown_task_gets_close_matches(segment, image):
    answer = segment(image, "--task", "totl")
    assert_refused(answer, "input.unknown_task")
    assert "total" in answer.err


def test_unknown_structure_gets_close_matches(segment, image):
    answer = segment(image, "--task", "total", "--structures", "left kidny")
    assert_refused(answer, "input.unknown_structure")
    assert "kidney_left" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--speed", "warp"], "input.unknown_speed"),
        (["--fast", "--fastest"], "input.bad_option"),
        (["--engine", "nnunett"], "input.unknown_engine"),
        (["--step-size", "7"], "input.bad_option"),
        (["--robust-crop"], "input.unknown_option"),
        (["--task", "total", "--step-size", "0.5"], "input.unknown_option"),
        (["--task", "custom"], "input.no_model"),
        (["--device", "toaster"], "input.unknown_device"),
        (["--engine", "totalsegmentator"], "input.wrong_engine"),
        (["--model", DEMO, "--structures", "lver"], "input.unknown_structure"),
        (["--model", DEMO, "--fast"], "input.unknown_speed"),
        (["--model", DEMO, "--engine", "totalsegmentator"], "input.wrong_engine"),
        (["--model", DEMO.parent], "input.bad_model"),
    ],
)
def test_bad_option(arguments, code, segment, image):
    assert_refused(segment(image, *arguments), code)


def test_output_equal_to_input(segment, image):
    before = image.read_bytes()
    assert_refused(segment(image, "--overwrite", output=image), "output.is_input")
    assert image.read_bytes() == before


def test_existing_output_needs_overwrite(segment, image, work):
    (work / "out.seg.nrrd").write_text("earlier work")
    assert_refused(segment(image), "output.exists")
    assert (work / "out.seg.nrrd").read_text() == "earlier work"


def test_output_below_a_file(segment, image):
    assert_refused(segment(image, output=image / "out.seg.nrrd"), "output.not_writable")


def test_several_images_do_not_fit_one_file(call, image, work):
    answer = call("segment", image, image, "-o", work / "out.seg.nrrd")
    assert_refused(answer, "output.several_images")


def test_missing_engine_names_the_remedy(call, image, work):
    python = work / "python"
    answer = call("segment", image, "-o", work / "o.nii.gz", "--engine-python", python)
    assert_refused(answer, "environment.no_interpreter", 4)


def test_missing_weights_without_consent(call, image, work, monkeypatch):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(work))
    arguments = ["-o", work / "o.nii.gz", "--task", "total", "--engine-python", sys.executable]
    answer = call("segment", image, *arguments)
    assert_refused(answer, "weights.missing", 4)
    assert "--yes" in answer.err


@pytest.mark.parametrize("names", ["", ",", " , "])
def test_an_empty_list_of_structures_is_not_everything(segment, image, names):
    assert_refused(segment(image, "--structures", names), "input.no_structure")


def test_report_beside_a_folder_is_refused(call, image, tmp_path):
    answer = call("segment", image, "-o", tmp_path / "out", "--report", tmp_path / "r.json")
    assert_refused(answer, "output.report_in_folder")
