"""Batches: what is given in a list, and several images at once."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from support.hungry import ENGINE, GIB, computer, use_hungry_engine
from support.processes import engine_processes, wait_until_gone

from TotalSegmentatorLib import catalog, environment
from TotalSegmentatorLib.cli import workers
from TotalSegmentatorLib.cli.workers import work_off, workers_of
from TotalSegmentatorLib.environment import Device, EngineEnvironment
from TotalSegmentatorLib.environment.drivers import NVIDIA, Driver, Gpu
from TotalSegmentatorLib.errors import CancelledError, EngineError
from TotalSegmentatorLib.estimate import estimate
from TotalSegmentatorLib.jobs import JobContext, Request
from TotalSegmentatorLib.memory_guard import MemoryGuard
from TotalSegmentatorLib.runs import complete
from TotalSegmentatorLib.session import Settings

ROOT = Path(__file__).resolve().parents[3]
COMMAND = ROOT / ".venv" / "bin" / "slicer-totalsegmentator"
MADE_BUNDLES = ROOT / "Testing" / "Python" / "engines" / "monai" / "made_bundles.py"
NAMES = ("a", "b", "c", "d")
LARGE = 90 * GIB


@pytest.fixture
def folder(work, monkeypatch):
    """Four images whose voxels are their labels, and an engine that says so."""
    monkeypatch.setattr(environment, "this_computer", lambda: computer(64, 60))
    use_hungry_engine(monkeypatch)
    (work / "images").mkdir()
    for number, name in enumerate(NAMES, 1):
        array = np.zeros((20, 20, 20), np.int16)
        array[: 4 * number, 5:15, 5:15] = 1
        image = nibabel.Nifti1Image(array, np.diag([3.0, 3.0, 3.0, 1.0]))
        nibabel.save(image, work / "images" / f"{name}.nii.gz")
    return work


@pytest.fixture
def batch(call, folder):
    """Segments images and gives the answer with the rows of the summary."""

    def batch(*arguments: object, output: str = "out"):
        target = folder / output
        answer = call("segment", *arguments, "-o", target, "--task", "total", "--device", "cpu")
        with open(target / "summary.csv", encoding="utf-8", newline="") as file:
            return answer, list(csv.DictReader(file))

    return batch


def report_of(folder: Path, name: str) -> dict:
    return json.loads((folder / name / "report.json").read_text("utf-8"))


def without_times(folder: Path, name: str) -> dict:
    """What a report says, but for the times and the process."""
    report = report_of(folder, name)
    for part in (report, *report["runs"]):
        part.pop("timings_s")
        part["provenance"].pop("pid", None)
    return report


def processes(folder: Path) -> set[int]:
    return {report_of(folder, name)["provenance"]["pid"] for name in NAMES}


def test_workers_give_what_one_process_gives(batch, folder):
    """And each of them keeps its process for further images."""
    images, one, two = folder / "images", folder / "one", folder / "two"
    for target, count in ((one, 1), (two, 2)):
        answer, rows = batch(images, "--workers", count, output=target.name)
        assert answer.code == 0, answer.err
        assert [(row["name"], row["state"]) for row in rows] == [(name, "done") for name in NAMES]
        assert len(processes(target)) == count
    for name in NAMES:
        assert without_times(one, name) == without_times(two, name)
        table = "structures.csv"
        assert (one / name / table).read_bytes() == (two / name / table).read_bytes()
        labels = [nibabel.load(f / name / "segmentation.nii.gz") for f in (one, two)]
        assert np.array_equal(*(np.asanyarray(image.dataobj) for image in labels))
    _, rows = batch(images, "--workers", 2, output="one")
    assert {row["state"] for row in rows} == {"skipped"}


def test_failures_of_workers_stand_in_the_order_of_the_images(batch, folder):
    (folder / "images" / "b.nii.gz").write_text("no image")
    answer, rows = batch(folder / "images", "--workers", 3)
    assert answer.code == 3
    assert [row["state"] for row in rows] == ["done", "failed", "done", "done"]
    assert rows[1]["code"] == "input.not_an_image"


def test_a_list_names_images_from_its_own_folder(batch, folder):
    """What is named twice is segmented once."""
    lists = folder / "lists"
    lists.mkdir()
    other = folder / "images" / "a.nii.gz"
    text = f"# images\r\n../images/c.nii.gz\r\n\r\n  {other}  \r\ngone.nii.gz\r\n{other}\r\n"
    (lists / "images.txt").write_bytes(text.encode("utf-8-sig"))
    image = folder / "images" / "b.nii.gz"
    answer, rows = batch(image, "--list", lists / "images.txt")
    assert answer.code == 3
    assert [(row["name"], row["state"]) for row in rows] == [
        ("b", "done"),
        ("c", "done"),
        ("a", "done"),
        ("gone.nii.gz", "failed"),
    ]


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "input.no_image"), (b"\xff\xfe\x00", "input.bad_list"), (None, "")]
)
def test_a_list_that_names_nothing_is_a_sentence(content, code, call, folder):
    path = folder / "images.txt"
    if content is not None:
        path.write_bytes(content)
    answer = call("segment", "--list", path, "-o", folder / "out")
    assert answer.code == 2
    assert f"[{code or 'input.bad_list'}]" in answer.err
    assert str(folder) not in answer.err


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_cancellation_ends_all_workers(call, folder, monkeypatch):
    use_hungry_engine(monkeypatch, normal="waits")
    seen: list[int] = []

    def interrupt() -> None:
        end = time.monotonic() + 10
        while len(seen) < 2 and time.monotonic() < end:
            time.sleep(0.05)
            seen[:] = children()
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    answer = call("segment", folder / "images", "-o", folder / "out", "--workers", 2)
    thread.join()
    assert answer.code == 130
    assert "cancelled" in answer.err and "Traceback" not in answer.err
    assert not list((folder / "temporary").iterdir())
    assert not list((folder / "out").iterdir())


def children() -> list[int]:
    """The engine processes that this one has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and str(ENGINE).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue  # it has ended
    return found


SETTINGS = Settings(EngineEnvironment(Path(sys.executable), {"HOME": "/home"}), remember_runs=True)


def gpus(monkeypatch, count: int) -> None:
    """Let PyTorch find so many GPUs."""
    hardware = computer(64, 60)
    found = tuple(Device(f"gpu:{n}", f"GPU {n}", (n + 1) * LARGE, LARGE) for n in range(count))
    hardware = dataclasses.replace(hardware, devices=(*found, *hardware.devices))
    monkeypatch.setattr(environment, "probe", lambda engine: hardware)
    driver = Driver(NVIDIA, "1", (Gpu("GPU", "9.0", GIB, GIB),) * count)
    monkeypatch.setattr(workers, "find_driver", lambda variables: driver)


def visible(found: list[Settings]) -> list[str | None]:
    return [one.engine.variables.get("CUDA_VISIBLE_DEVICES") for one in found]


def test_workers_share_out_the_gpus(monkeypatch):
    gpus(monkeypatch, 2)
    found = workers_of(SETTINGS, 3, "auto")
    assert visible(found) == ["0", "1", "0"]
    assert [one.hardware.device("gpu").total_bytes for one in found] == [
        90 * GIB,
        180 * GIB,
        90 * GIB,
    ]
    assert [device.id for device in found[1].hardware.devices] == ["gpu:0", "cpu"]
    assert all(one.at_once == 3 and not one.remember_runs for one in found)
    assert visible(workers_of(SETTINGS, 2, "gpu")) == ["0", "1"]
    assert visible(workers_of(SETTINGS, 2, "gpu:1")) == visible(workers_of(SETTINGS, 2, "cpu"))
    assert workers_of(SETTINGS, 1, "auto") == [SETTINGS]


def test_gpus_that_a_cluster_has_assigned_are_shared_out_only(monkeypatch):
    gpus(monkeypatch, 2)
    variables = {"CUDA_VISIBLE_DEVICES": "5,GPU-8a"}
    engine = dataclasses.replace(SETTINGS.engine, variables=variables)
    found = workers_of(dataclasses.replace(SETTINGS, engine=engine), 2, "auto")
    assert visible(found) == ["5", "GPU-8a"]


def test_without_a_gpu_workers_share_the_processor(monkeypatch):
    gpus(monkeypatch, 0)
    assert visible(workers_of(SETTINGS, 2, "auto")) == [None, None]


def test_a_worker_s_process_sees_its_gpu_only(call, folder, monkeypatch):
    gpus(monkeypatch, 2)
    answer = call("segment", folder / "images", "-o", folder / "out", "--workers", 2)
    assert answer.code == 0, answer.err
    reports = [report_of(folder / "out", name) for name in NAMES]
    assert {report["provenance"]["gpus"] for report in reports} == {"0", "1"}
    assert {report["request"]["device"] for report in reports} == {"auto"}


def test_runs_at_once_share_the_memory():
    grid, runs = ((500, 500, 700), (1.0, 1.0, 1.0)), complete(Request(task="total", device="cpu"))
    need = estimate(*grid, runs.requests, computer(1000, 1000)).memory_bytes / GIB
    hardware = computer(2.2 * need, 2.2 * need)
    assert MemoryGuard(*grid, hardware).shortage(runs) is None
    assert MemoryGuard(*grid, hardware, at_once=2).shortage(runs) is None
    short = MemoryGuard(*grid, hardware, at_once=4).shortage(runs)
    assert short.certain and short.message.endswith(" for 4 runs at once.")
    assert not MemoryGuard(*grid, hardware, at_once=3).shortage(runs).certain


def test_an_error_that_nobody_expected_ends_all_workers():
    begun: list[int] = []

    def serve(item: int, settings: Settings, context: JobContext) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("a defect")
        assert context.cancelled.wait(10)
        context.check()

    with pytest.raises(EngineError, match="a defect"):
        work_off(range(6), [SETTINGS] * 2, serve)
    assert sorted(begun) == [0, 1]


def test_waiting_that_is_broken_off_ends_all_workers(monkeypatch):
    ended: list[int] = []
    begun = threading.Barrier(3)

    def serve(item: int, settings: Settings, context: JobContext) -> None:
        begun.wait(10)
        assert context.cancelled.wait(10)
        ended.append(item)

    def interrupt(seconds: float) -> None:
        begun.wait(10)
        raise CancelledError

    monkeypatch.setattr(workers, "time", SimpleNamespace(sleep=interrupt))
    with pytest.raises(CancelledError):
        work_off(range(6), [SETTINGS] * 2, serve)
    assert sorted(ended) == [0, 1]


def arguments_of(images: Path, output: Path, engine: EngineEnvironment, *options: object) -> list:
    return ["segment", images, "-o", output, *options, "--engine-python", engine.python]


@pytest.fixture
def scans(sample, tmp_path) -> Path:
    """Two parts of the sample CT, and a file that is no image."""
    folder = tmp_path / "scans"
    folder.mkdir()
    image = nibabel.load(sample.ct)
    nibabel.save(image.slicer[30:90, 20:80, :40], folder / "lower.nii.gz")
    nibabel.save(image.slicer[30:90, 20:80, 40:80], folder / "upper.nii.gz")
    (folder / "broken.nii.gz").write_text("no image")
    return folder


def made_weights(task: str, engine: EngineEnvironment, folder: Path) -> Path:
    """Random weights of a narrow network for a task at normal speed."""
    arguments = [MADE_BUNDLES, folder, "--task", task, "--features", 8]
    subprocess.run([engine.python, *map(str, arguments)], check=True, capture_output=True)
    (model,) = catalog.task(task).required_models("normal")
    return folder / model.folder / model.checkpoint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("demo", ()),
        ("wholebody_ct", ()),
        ("nv_ct_body", ("--window", "96x96x96", "--structures", "liver,spleen,lungs")),
    ],
)
def test_two_engine_processes_give_the_labels_of_one(
    task, options, call, scans, engine, tmp_path, runs, monkeypatch
):
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):  # no other test finds the terms accepted
        monkeypatch.setenv(name, str(tmp_path / "data"))
    if task != "demo":
        options = (*options, "--weights", made_weights(task, engine, tmp_path / "weights"))
        environment.terms.accept("nv-segment-ctmr")
    for count in (1, 2):
        output = tmp_path / str(count)
        asked = ("--task", task, *options, "--device", "cpu", "--threads", 1, "--workers", count)
        answer = call(*arguments_of(scans, output, engine, *asked))
        assert answer.code == 3, answer.err
        rows = list(csv.DictReader((output / "summary.csv").open()))
        assert [row["state"] for row in rows] == ["failed", "done", "done"]
    for name in ("lower", "upper"):
        one, two = (tmp_path / count / name for count in ("1", "2"))
        assert without_times(one.parent, name) == without_times(two.parent, name)
        labels = [nibabel.load(f / "segmentation.nii.gz").dataobj for f in (one, two)]
        assert np.array_equal(*map(np.asanyarray, labels))
    assert list(runs.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interruption_leaves_nothing_of_any_worker(how, scans, engine, tmp_path, runs):
    output = tmp_path / "results"
    options = ("--task", "demo", "--threads", 1, "--workers", 2)
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments_of(scans, output, engine, *options))],
        env={**os.environ, "TMPDIR": str(runs)},
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while len(engine_processes(runs)) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert len(engine_processes(runs)) >= 2
    process.send_signal(how)
    message = process.communicate(timeout=30)[1]
    assert wait_until_gone(runs) == []
    if how is signal.SIGKILL:
        end = time.monotonic() + 10
        while list(runs.iterdir()) and time.monotonic() < end:
            time.sleep(0.05)
    else:
        assert process.returncode == 130
        assert "cancelled" in message.lower() and "Traceback" not in message
    assert list(runs.rglob("*")) == []
    assert not list(output.glob("*/report.json"))
