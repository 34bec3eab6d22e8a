"""``bundle create``, ``show`` and ``install``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.weights_files import put_model

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.cli.bundle import _models

(MODEL,) = catalog.task("total").speeds["fastest"]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the user's data and with weights, in which all models of a task are."""
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "data"))
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    for model in _models(["body"], False):
        put_model(tmp_path / "weights", model)
    return tmp_path


def test_from_one_computer_to_another(call, places, monkeypatch):
    path = places / "weights.zip"
    made = call("bundle", "create", path, "--no-engine", "--task", "body", "--yes", "--json")
    assert made.code == 0, made.err
    names = [member["name"] for member in json.loads(made.out)["members"]]
    assert names == sorted(f"weights/{model.folder}.zip" for model in _models(["body"], False))

    shown = call("bundle", "show", path)
    assert shown.code == 0
    assert f"weights of {len(names)} models" in shown.out and names[0] in shown.out
    assert json.loads(call("bundle", "show", path, "--json").out) == json.loads(made.out)

    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(places / "there"))
    refused = call("bundle", "install", path)
    assert refused.code == 4 and "trust" not in refused.out
    assert "environment.declined" in refused.err and not (places / "there").exists()
    done = call("bundle", "install", path, "--yes", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["environment"] is None and len(answer["weights"]) == len(names)
    assert (places / "there" / answer["weights"][0]).is_dir()


def test_offline_all_ways_to_run_a_task_work():
    """Also those of another speed, a robust crop, or only some structures."""
    found = set(_models(["total"], False))
    task = catalog.task("total")
    for speed in task.speeds:
        assert found >= set(task.required_models(speed, ["liver"], True))
    assert found == set(_models(["total", "total"], False))
    assert set(_models([], True)) > found


def test_licensed_weights_are_named_and_left_out(call, places):
    path = places / "b.zip"
    answer = call("bundle", "create", path, "--no-engine", "--task", "face", "--yes")
    licensed = [m.folder for m in catalog.task("face").speeds["normal"]]
    assert all(name in answer.err for name in licensed)
    if path.exists():  # models that find the region to look at are free
        assert not any(name in call("bundle", "show", path).out for name in licensed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "input.which_weights"),
        (["--all-weights", "--no-weights"], "input.which_weights"),
        (["--no-weights", "--no-engine", "--yes"], "input.empty_bundle"),
        (["--no-weights", "--platform", "amiga", "--yes"], "input.unknown_platform"),
        (["--task", "totl", "--yes"], "input.unknown_task"),
    ],
)
def test_what_is_asked_for_must_make_sense(call, places, arguments, said):
    answer = call("bundle", "create", places / "b.zip", *arguments)
    assert answer.code == 2 and said in answer.err
    assert not (places / "b.zip").exists()


def test_a_build_that_is_not_for_that_platform(call, places):
    arguments = ("--no-weights", "--platform", "macos", "--build", "cuda13", "--yes")
    answer = call("bundle", "create", places / "b.zip", *arguments)
    assert answer.code == 4 and "environment.unknown_build" in answer.err


def test_older_file_and_damaged_bundle(call, places):
    path = places / "b.zip"
    path.write_bytes(b"PK\x03\x04 but no more")
    kept = call("bundle", "create", path, "--no-engine", "--task", "body", "--yes")
    assert kept.code == 2 and "output.exists" in kept.err
    for command in (("show", path), ("install", path, "--yes")):
        answer = call("bundle", *command)
        assert answer.code == 4 and "bundle.damaged" in answer.err
    call("bundle", "create", path, "--no-engine", "--task", "body", "--yes", "--overwrite")
    assert call("bundle", "show", path).code == 0
