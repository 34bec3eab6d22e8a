"""The command ``weights``: listing, getting, checking and deleting models."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable

import pytest
from support.faulty_server import faulty_server
from support.weights_files import model_files, put_model, zipped

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Archive
from TotalSegmentatorLib.environment.weights import obtaining

FAST, FULL = (catalog.task("body").speeds[speed][0] for speed in ("fast", "normal"))


@pytest.fixture
def weights(tmp_path, monkeypatch, call) -> Callable:
    """Calls the command for a weights folder of the test."""
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "w"))
    return lambda *arguments: call("weights", *arguments)


def refused(answer, code: str, status: int) -> bool:
    lines = answer.err.splitlines()
    return answer.code == status and len(lines) == 1 and lines[0].endswith(f"[{code}]")


def test_all_models_are_listed(weights, tmp_path):
    put_model(tmp_path / "w", FAST)
    answer = weights("list", "--json")
    found = {entry["model"]: entry for entry in json.loads(answer.out)}
    assert len(found) > 60 and answer.code == 0
    assert found[FAST.folder]["state"] == "present"
    assert found[FULL.folder] == {
        "model": FULL.folder,
        "dataset_id": 299,
        "tasks": ["body"],
        "state": "missing",
        "verified": False,
        "licensed": False,
        "terms": "",
        "size_bytes": 233_211_222,
        "archive": f"v2.0.0-weights/{FULL.folder}.zip",
        "sha256": None,
        "md5": None,
    }
    face = next(entry for entry in found.values() if entry["tasks"] == ["face"])
    assert face["licensed"] and face["archive"] is None
    nv = next(entry for entry in found.values() if "nv_ct_body" in entry["tasks"])
    assert (nv["terms"], nv["licensed"]) == ("nv-segment-ctmr", False)
    (row,) = (line for line in weights("list", nv["model"]).out.splitlines() if nv["model"] in line)
    assert "872" in row and "non-commercial" in row


@pytest.mark.parametrize(("name", "count"), [("body", 2), ("299", 1), (FAST.folder, 1)])
def test_models_are_named_by_task_number_or_folder(weights, name, count):
    assert len(json.loads(weights("list", name, "--json").out)) == count
    table = weights("list", name).out
    assert "body" in table and "missing" in table


def test_an_unknown_name_gets_close_ones(weights):
    answer = weights("list", "bodi")
    assert refused(answer, "input.unknown_weights", 2) and "Did you mean body" in answer.err
    assert refused(weights("list", "0"), "input.unknown_weights", 2)  # the number of no data set


def test_download_and_what_comes_after_it(weights, tmp_path, monkeypatch):
    content = zipped(model_files(FAST))
    key = (FAST.release, f"{FAST.folder}.zip")
    one = Archive(300, *key, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(catalog.weights, "_table", lambda: {key: one})
    with faulty_server() as server:
        server.files[f"/{one.key}"] = content
        monkeypatch.setattr(obtaining, "PUBLISHED", server.url)
        answer = weights("download", "body", "--speed", "fast", "--json")
        assert weights("download", "body", "--speed", "fast").code == 0
    (entry,) = json.loads(answer.out)
    assert (entry["state"], entry["verified"], answer.code) == ("present", True, 0)
    # There is no terminal: a line for each step, whatever the number of megabytes.
    steps = [line.partition(" the weights")[0] for line in answer.err.splitlines()]
    assert steps == ["Downloading", "Unpacking"] and len(server.seen) == 1
    assert weights("verify").code == 0
    checkpoint = next((tmp_path / "w" / FAST.folder).rglob("*.pth"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    answer = weights("verify", "body", "--json")
    assert answer.code == 4
    assert [one["state"] for one in json.loads(answer.out)] == ["error"]


def test_a_mirror_that_cannot_be_checked_must_be_trusted(weights, tmp_path, monkeypatch):
    content = zipped(model_files(FAST))
    key = (FAST.release, f"{FAST.folder}.zip")
    one = Archive(300, *key, len(content), "")
    monkeypatch.setattr(catalog.weights, "_table", lambda: {key: one})
    with faulty_server() as server:
        server.files[f"/mirror/{one.key}"] = content
        mirror = ("download", "300", "--mirror", f"{server.url}/mirror/")
        assert refused(weights(*mirror), "weights.untrusted_mirror", 4)
        assert weights(*mirror, "--trust-mirror").code == 0


def test_a_speed_that_a_task_does_not_have(weights):
    assert refused(weights("download", "body", "--speed", "fastest"), "input.unknown_speed", 2)


def test_import_and_remove(weights, tmp_path, monkeypatch):
    for model in (FAST, FULL):
        (tmp_path / f"{model.dataset_id}.zip").write_bytes(zipped(model_files(model)))
    answer = weights("import", tmp_path / "300.zip", tmp_path / "299.zip", "--json")
    assert [entry["dataset_id"] for entry in json.loads(answer.out)] == [300, 299]
    assert [entry["tasks"] for entry in json.loads(answer.out)] == [["body"], ["body"]]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert refused(weights("remove", "300"), "environment.declined", 4)
    assert (tmp_path / "w" / FAST.folder).exists()
    answer = weights("remove", "300", "--yes")
    assert answer.code == 0 and "1 model was deleted" in answer.err
    assert not (tmp_path / "w" / FAST.folder).exists()
    assert (tmp_path / "w" / FULL.folder).exists()


def test_an_attack_ends_with_one_line(weights, tmp_path):
    path = tmp_path / "evil.zip"
    path.write_bytes(zipped({f"{FAST.folder}/../../evil": b""}))
    assert refused(weights("import", path), "weights.unsafe_archive", 4)
