"""Past runs: kept without patient data, by several processes, whatever happens to the file."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os

import numpy as np
import pytest

from TotalSegmentatorLib import catalog, engines, environment, history
from TotalSegmentatorLib.engines.contract import timing_key
from TotalSegmentatorLib.estimate import estimate
from TotalSegmentatorLib.history import FILE, KEPT, load, record
from TotalSegmentatorLib.images import Image, corners
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.runs import complete

TASK = Request(task="total", engine="totalsegmentator", speed="fast")
GRID = ((20, 20, 20), (3.0, 3.0, 3.0))


def image(n: int = 20) -> Image:
    return Image(np.zeros((n, n, n), np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))


def report(*requests: Request, device: str = "cpu", total: float = 31.0) -> dict:
    """What a report holds of its runs, each of which took ten seconds."""
    run = {
        "provenance": {"device": device, "threads": 2, "engine": "totalsegmentator"},
        "timings_s": {"running_the_network": 8.0, "writing_the_labels": 2.0},
    }
    runs = [{**run, "request": request.to_dict()} for request in requests or (TASK,)]
    source = {"path": "/data/Doe^John/ct.nii.gz", "sha256": "d0e" * 20}
    return {"input": source, "runs": runs, "timings_s": {"total": total}}


def test_a_run_comes_back(tmp_path):
    record(report(), image(), folder=tmp_path)
    (past,) = load(tmp_path)
    assert (past.engine, past.task, past.speed) == ("totalsegmentator", "total", "fast")
    assert past.mode == "exact"
    assert (past.device, past.device_title, past.threads) == ("cpu", "", 0)
    assert past.seconds == 31.0
    assert past.work.image_voxels == 8000
    assert past.work.networks == 1
    assert not past.part


def test_the_engine_and_the_mode_are_those_that_ran(tmp_path):
    """A run may be handed to the official package, and a compiled network may be refused."""
    for provenance in (
        {"engine": "totalsegmentator"},
        {"engine": "totalsegmentator", "mode": "official"},
        {"engine": "nnunet", "mode": "exact"},
        {"engine": "nnunet", "mode": "compiled"},
    ):
        values = report(dataclasses.replace(TASK, engine="nnunet", options={"compiled": True}))
        values["runs"][0]["provenance"] = {"device": "cpu", **provenance}
        record(values, image(), folder=tmp_path)
    ran = [(past.engine, past.mode) for past in load(tmp_path)]
    assert ran[:2] == [("totalsegmentator", "exact")] * 2
    assert ran[2:] == [("nnunet", "exact"), ("nnunet", "compiled")]


@pytest.mark.parametrize("spec", engines.specs().values(), ids=lambda spec: spec.name)
def test_runs_of_every_engine_are_kept_with_all_of_their_stages(tmp_path, spec):
    task = next(task for task in catalog.tasks() if spec.name in task.engines)
    request = complete(Request(task.id, spec.name)).requests[0]
    values = report(request, total=10.0 * len(spec.stages) + 1)
    values["runs"][0]["provenance"]["engine"] = spec.name
    values["runs"][0]["timings_s"] = {timing_key(text): 10.0 for text, _ in spec.stages}
    record(values, image(), folder=tmp_path)
    (past,) = load(tmp_path)
    assert (past.engine, past.task, past.seconds) == (
        spec.name,
        task.id,
        values["timings_s"]["total"],
    )
    found = estimate(*GRID, [request], environment.this_computer(), [past] * 10)
    assert found.based_on == 10


@pytest.mark.parametrize("option", ["body_seg", "body_first"])
def test_a_run_that_was_cropped_to_the_body_says_nothing_about_others(tmp_path, option):
    for cropped in (True, False):
        values = report(dataclasses.replace(TASK, options={option: cropped}), total=31 - cropped)
        record(values, image(), folder=tmp_path)
    assert [past.seconds for past in load(tmp_path)] == [31.0]


def test_threads_are_those_asked_for(tmp_path):
    record(report(dataclasses.replace(TASK, options={"threads": 3})), image(), folder=tmp_path)
    assert load(tmp_path)[0].threads == 3


def test_a_download_is_no_computing(tmp_path):
    values = report(TASK, TASK, total=641.0)
    first = values["runs"][0]
    first["timings_s"] = {**first["timings_s"], "downloading_the_weights": 600.0}
    record(values, image(), folder=tmp_path)
    assert [past.seconds for past in load(tmp_path)] == [20.5, 20.5]


def test_what_is_done_once_on_a_computer_is_left_out(tmp_path):
    values = report()
    values["runs"][0]["timings_s"]["comparing"] = 7.0
    record(values, image(), folder=tmp_path)
    assert load(tmp_path)[0].seconds == 24.0


def test_parts_of_a_stage_are_not_counted_twice(tmp_path):
    values = report(total=12.0)
    values["runs"][0]["timings_s"] |= {"network": 5.0, "resampling": 3.0}
    record(values, image(), folder=tmp_path)
    assert load(tmp_path)[0].seconds == 12.0


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyError, OverflowError])
def test_a_result_is_never_lost_for_it(monkeypatch, caplog, error):
    def fail() -> None:
        raise error("Could not determine home directory.")

    monkeypatch.setattr(history, "user_data_folder", fail)
    with caplog.at_level("DEBUG"):
        record(report(), image())
    assert "could not be noted" in caplog.text


def test_without_a_home_there_are_no_past_runs(monkeypatch):
    def fail() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(history, "user_data_folder", fail)
    assert load() == ()


def test_nothing_of_the_patient_is_kept(tmp_path):
    folder = str(catalog.task("demo").model_path)
    record(report(Request("custom", "nnunet", model=folder)), image(), folder=tmp_path)
    record(report(), image(), folder=tmp_path)
    assert len(load(tmp_path)) == 2
    text = (tmp_path / FILE).read_text()
    assert "Doe" not in text and "d0e" not in text and "/" not in text
    fields = {field.name for field in dataclasses.fields(history.PastRun)}
    assert set(json.loads(text.splitlines()[-1])) == {"schema", *fields}


def test_runs_of_one_report_share_what_was_done_for_all(tmp_path):
    part = dataclasses.replace(TASK, structures=("liver",))
    record(report(TASK, part), image(), folder=tmp_path)
    assert [past.seconds for past in load(tmp_path)] == [15.5, 15.5]
    assert [past.part for past in load(tmp_path)] == [False, True]


@pytest.mark.parametrize(
    ("device", "kind", "title"),
    [
        ("cuda:1 (NVIDIA RTX A5000 (rev 2))", "gpu", "NVIDIA RTX A5000 (rev 2)"),
        ("mps", "mps", ""),
    ],
)
def test_devices_have_the_names_of_requests(tmp_path, device, kind, title):
    record(report(device=device), image(), folder=tmp_path)
    (past,) = load(tmp_path)
    assert (past.device, past.device_title) == (kind, title)


def test_of_a_region_only_its_voxels_count(tmp_path):
    region = corners((-0.1, 30.1, -0.1, 30.1, -0.1, 30.1))
    record(report(dataclasses.replace(TASK, region=region)), image(), folder=tmp_path)
    assert load(tmp_path)[0].work.image_voxels == 11**3


def test_a_run_on_an_unknown_device_is_not_kept(tmp_path):
    values = report()
    del values["runs"][0]["provenance"]["device"]
    record(values, image(), folder=tmp_path)
    assert load(tmp_path) == ()


def test_a_model_that_is_gone_is_no_error(tmp_path):
    gone = Request("custom", "nnunet", model=str(tmp_path / "gone"))
    record(report(gone), image(), folder=tmp_path)
    assert load(tmp_path) == ()


def test_the_latest_are_kept(tmp_path):
    record(report(), image(), folder=tmp_path)
    (line,) = (tmp_path / FILE).read_text().splitlines()
    many = [line.replace("31.0", f"{second}.0") for second in range(1, KEPT + 8)]
    (tmp_path / FILE).write_text("\n".join(many))  # without an end of line, as after a crash
    assert len(load(tmp_path)) == KEPT
    record(report(total=4000), image(), folder=tmp_path)
    kept = load(tmp_path)
    assert len(kept) == KEPT == len((tmp_path / FILE).read_text().splitlines())
    assert [kept[0].seconds, kept[-2].seconds, kept[-1].seconds] == [9.0, KEPT + 7.0, 4000]


DAMAGES = {
    "cut": lambda line: line[: len(line) // 2],
    "empty": lambda line: "",
    "no object": lambda line: "[1]",
    "null": lambda line: "null",
    "another schema": lambda line: line.replace('"schema": 2', '"schema": 1'),
    "an unknown field": lambda line: line.replace("{", '{"new": 1, ', 1),
    "no work": lambda line: line.replace('"work": {', '"work": 3, "other": {'),
    "no number": lambda line: line.replace("31.0", '"31"'),
    "not a number": lambda line: line.replace("31.0", "NaN"),
    "infinite": lambda line: line.replace("31.0", "Infinity"),
    "negative": lambda line: line.replace("31.0", "-1"),
    "too long to be true": lambda line: line.replace("31.0", "1" + "0" * 400),
    "too large to be true": lambda line: line.replace('"networks": 1', '"networks": 1e300'),
    "too many digits": lambda line: line.replace("31.0", "1" * 5000),
    "too deep": lambda line: "[" * 200_000,
    "a list of lists": lambda line: line.replace("31.0", "[" * 500 + "]" * 500),
    "negative threads": lambda line: line.replace('"threads": 0', '"threads": -1'),
    "no text": lambda line: "\x00\xff",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_line_is_left_out(tmp_path, damage):
    record(report(), image(), folder=tmp_path)
    good = (tmp_path / FILE).read_text().strip()
    assert damage(good) != good
    (tmp_path / FILE).write_bytes(f"{good}\n{damage(good)}\n{good}\n".encode("latin-1"))
    assert len(load(tmp_path)) == 2
    record(report(), image(), folder=tmp_path)
    assert len(load(tmp_path)) == 3


@pytest.mark.parametrize("obstacle", ["folder", "lock", "file"])
def test_a_place_that_cannot_be_written_is_no_error(tmp_path, obstacle):
    folder = tmp_path / "data"
    if obstacle == "folder":
        folder.write_text("a file where the folder should be")
    else:
        name = FILE if obstacle == "file" else "runs.lock"
        (folder / name).mkdir(parents=True)
    record(report(), image(), folder=folder)
    assert load(folder) == ()


def test_a_lock_that_is_held_costs_a_record_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "_WAIT_S", 0.05)
    monkeypatch.setattr(history, "try_lock", lambda file: False)
    record(report(), image(), folder=tmp_path)
    assert load(tmp_path) == ()


def test_the_user_s_data_is_the_place_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "user_data_folder", lambda: tmp_path / "not yet there")
    assert load() == ()
    record(report(), image())
    assert len(load()) == 1
    assert (tmp_path / "not yet there" / FILE).is_file()


def write_some(folder, number: int) -> None:
    for _ in range(10):
        record(report(total=100.0 + number), image(4), folder=folder)


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_several_processes_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_some, args=(tmp_path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    seconds = [past.seconds for past in load(tmp_path)]
    assert sorted(seconds) == sorted([100.0 + n for n in range(4)] * 10)
    assert {path.name for path in tmp_path.iterdir()} == {FILE, "runs.lock"}
