"""`estimate`: a table or JSON of what each speed would cost."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from TotalSegmentatorLib import environment


@pytest.fixture
def ct(tmp_path, monkeypatch):
    """A small image, and no past runs or weights."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    path = tmp_path / "ct.nii.gz"
    array = (np.arange(100 * 90 * 80) % 1000).astype(np.int16).reshape(100, 90, 80)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([3.0, 3.0, 3.0, 1.0])), path)
    return path


def test_table_has_a_row_for_every_speed(call, ct):
    answer = call("estimate", ct, "--task", "total", "--device", "cpu")
    assert answer.code == 0, answer.err
    rows = [line for line in answer.out.splitlines() if " mm " in line]
    assert len(rows) == 3
    for row, words in zip(
        rows,
        [("normal", "1.5 mm", "1.2 GB"), ("fast", "3 mm", "140 MB"), ("fastest", "6 mm", "130 MB")],
        strict=True,
    ):
        assert all(word in row for word in (*words, "about" if words[0] == "normal" else "less"))
    assert answer.out.startswith("Estimates for: Processor")
    assert "Estimated from typical computers." in answer.err


def test_json(call, ct):
    found = json.loads(call("estimate", ct, "--task", "body", "--device", "cpu", "--json").out)
    assert [one["speed"] for one in found] == ["normal", "fast"]
    normal, fast = found
    assert normal["seconds_low"] < normal["seconds"] < normal["seconds_high"]
    assert normal["seconds"] > fast["seconds"]
    assert normal["download_bytes"] == 233_211_222
    assert normal["resolution_mm"] == [[1.5, 1.5, 1.5]]
    assert normal["device"]["id"] == "cpu"


def test_a_region_and_structures_make_it_cheaper(call, ct):
    def seconds(*more: str) -> float:
        options = ("--device", "cpu", "--speed", "normal", "--json", *more)
        (one,) = json.loads(call("estimate", ct, *options).out)
        return one["seconds"]

    whole = seconds()
    assert seconds("--structures", "liver") < whole / 2
    assert seconds("--region=0,60,0,60,0,60") < whole


def test_options_of_the_engine_count(call, ct, monkeypatch):
    one = environment.Device("cpu", "Four cores", 2**34, 2**34)
    computer = environment.Hardware(4, 2**34, 2**34, (one,))
    monkeypatch.setattr(environment, "this_computer", lambda: computer)

    def seconds(*more: str) -> float:
        options = ("--task", "total", "--device", "cpu", "--speed", "fast", "--json", *more)
        (one,) = json.loads(call("estimate", ct, *options).out)
        return one["seconds"]

    usual = seconds()
    assert seconds("--compiled") < usual < seconds("--threads", "1")
    answer = call("estimate", ct, "--task", "total", "--mirroring", "--device", "cpu")
    assert answer.code == 2 and "[input.unknown_option]" in answer.err


@pytest.mark.slow
def test_gpus_are_asked_of_the_engine(call, ct, engine):
    answer = call("estimate", ct, "--task", "demo", "--engine-python", engine.python)
    assert answer.code == 0, answer.err
    assert "3 mm" in answer.out


def test_without_an_engine_the_processor_is_known(call, ct, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))
    answer = call("estimate", ct, "--task", "demo")
    assert answer.code == 0, answer.err
    assert "only the processor" in answer.err and "not installed" in answer.err
    answer = call("estimate", ct, "--task", "demo", "--device", "gpu")
    assert answer.code == 4
    assert "[environment.missing]" in answer.err


@pytest.mark.parametrize(
    ("options", "code", "error"),
    [
        (["--task", "body", "--speed", "fastest"], 2, "input.unknown_speed"),
        (["--task", "bodi"], 2, "input.unknown_task"),
        (["--structures", ""], 2, "input.no_structure"),
        (["--region=0,1"], 2, "input.bad_region"),
        (["--device", "tpu"], 2, "input.unknown_device"),
    ],
)
def test_what_cannot_be_estimated(call, ct, options, code, error):
    answer = call("estimate", ct, *options)
    assert answer.code == code
    assert f"[{error}]" in answer.err
    assert answer.out == ""


def test_a_missing_image(call, tmp_path):
    assert call("estimate", tmp_path / "no.nii.gz", "--device", "cpu").code == 2
