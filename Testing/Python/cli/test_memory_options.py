"""``--fall-back`` and ``--anyway``: what the command line does where memory is short."""

from __future__ import annotations

import csv
import json

import nibabel
import numpy as np
import pytest
from support.hungry import computer, use_hungry_engine

from TotalSegmentatorLib import environment


@pytest.fixture
def folder(work, monkeypatch):
    """Two images of 600 mm along each axis, and an engine that has no memory for ``normal``."""
    monkeypatch.setenv("XDG_DATA_HOME", str(work / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(work / "data"))
    monkeypatch.setattr(environment, "this_computer", lambda: computer(64, 60))
    use_hungry_engine(monkeypatch, normal="gpu")
    array = np.zeros((40, 40, 40), np.int16)
    array[10:30, 10:30, 10:30] = 1
    (work / "images").mkdir()
    for name in ("a", "b"):
        image = nibabel.Nifti1Image(array, np.diag([15.0, 15.0, 15.0, 1.0]))
        nibabel.save(image, work / "images" / f"{name}.nii.gz")
    return work


def test_without_permission_nothing_else_is_run(call, folder):
    answer = call("segment", folder / "images" / "a.nii.gz", "-o", folder / "out.nii.gz")
    assert answer.code == 4
    assert "[gpu.out_of_memory]" in answer.err and "needs less of that memory" in answer.err
    assert not (folder / "out.nii.gz").exists()


def test_a_batch_falls_back_by_name_goes_on_where_it_was_and_runs_again(call, folder):
    batch = ("segment", folder / "images", "-o", folder / "out", "--task", "total")

    def states(answer) -> list[str]:
        with open(folder / "out" / "summary.csv", encoding="utf-8", newline="") as file:
            return [row["state"] for row in csv.DictReader(file)]

    answer = call(*batch, "--fall-back")
    assert answer.code == 0, answer.err
    told = [line for line in answer.err.splitlines() if "[memory.fell_back]" in line]
    assert [line[:18] for line in told] == ["warning: [1/2] a: ", "warning: [2/2] b: "]
    assert states(answer) == ["done", "done"]
    report = folder / "out" / "a" / "report.json"
    device = json.loads(report.read_text())["request"]["device"]
    assert device == "cpu"

    # The same once more is done already; one who does not allow other ways wants another result.
    assert states(call(*batch, "--fall-back")) == ["skipped", "skipped"]
    assert states(call(*batch)) == ["failed", "failed"]
    assert states(call(*batch, "--device", device)) == ["skipped", "skipped"]

    answer = call("rerun", report, "-o", folder / "again", "--json")
    assert answer.code == 0, answer.err
    again = json.loads(answer.out)
    assert again["request"]["device"] == device and "asked" not in again
    assert "fell_back" not in answer.err


def test_anyway_tries_what_cannot_fit(call, folder, monkeypatch):
    monkeypatch.setattr(environment, "this_computer", lambda: computer(1, 0.9))
    image, out = folder / "images" / "a.nii.gz", folder / "out.nii.gz"
    run = ("segment", image, "-o", out, "--task", "total", "--fastest")
    answer = call(*run)
    assert answer.code == 4
    assert "this computer has 1.0 GB" in answer.err and "--anyway" in answer.err
    answer = call(*run, "--anyway")
    assert answer.code == 0, answer.err
    assert "[memory.may_not_fit]" in answer.err and out.exists()


def test_estimate_says_what_fits_and_what_would(call, folder, monkeypatch):
    monkeypatch.setattr(environment, "this_computer", lambda: computer(9, 7.4))
    ask = ("estimate", folder / "images" / "a.nii.gz", "--task", "total", "--device", "cpu")
    answer = call(*ask, "--engine", "totalsegmentator", "--json")
    found = {one["speed"]: one for one in json.loads(answer.out)}
    assert [found[speed]["fits"] for speed in ("normal", "fastest")] == ["perhaps", "yes"]
    faster = {"action": "use_faster_speed", "value": "fastest", "options": {}}
    assert faster in found["normal"]["would_fit"]
    assert "7.4 GB are free" in found["normal"]["shortage"]
    answer = call(*ask, "--engine", "totalsegmentator")
    assert "Fits" in answer.out and "perhaps" in answer.out
    assert "normal: This needs about" in answer.err and "fastest:" not in answer.err
    monkeypatch.setattr(environment, "this_computer", lambda: computer(1, 0.9))
    (one,) = json.loads(call(*ask, "--json", "--speed", "normal").out)
    assert one["fits"] == "no"
