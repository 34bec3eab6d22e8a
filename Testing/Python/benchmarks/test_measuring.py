"""What the measurements rest on: what a tree of processes uses, how labels are compared."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "Benchmarks"))
if not Path("/proc/self/stat").exists():
    pytest.skip("the measurements read Linux's /proc", allow_module_level=True)

import against_official
from parts import comparison, stages, works
from parts.process_tree import Usage, Watched

from TotalSegmentatorLib.images import Image, read_image, write_nifti

# Each line: a grandchild holds so many MB and works for 0.3 CPU seconds; then it has ended.
PARENT = """
import subprocess, sys
child = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[2], sys.argv[1]])"
busy = '''
import sys, time
held = b"x" * (int(sys.argv[1]) << 20)
while time.process_time() < 0.3: pass
'''
for line in sys.stdin:
    subprocess.run([sys.executable, "-c", child, line.strip(), busy])
    print("{}", flush=True)
"""


def test_time_and_memory_of_grandchildren_count_in_their_lap(tmp_path):
    with Watched([sys.executable, "-c", PARENT], os.environ, tmp_path / "log") as one:
        laps = []
        for megabytes in (150, 50):
            one.ask(megabytes)
            laps.append(one.lap())
        one.end()
        end = one.lap()
    assert all(lap.cpu_s >= 0.3 for lap in laps)
    assert end.cpu_s < 0.2
    assert 157 < laps[0].peak_rss_mb < 257
    assert 52 < laps[1].peak_rss_mb < 152


def test_pages_that_forked_processes_share_count_once(tmp_path):
    forking = """
import os, sys, time
held = b"x" * (100 << 20)
for _ in range(3):
    if not os.fork():
        break
time.sleep(0.5)
"""
    with Watched([sys.executable, "-c", forking], os.environ, tmp_path / "log") as one:
        one.end()
        assert 104 < one.lap().peak_rss_mb < 250


def test_a_process_that_fails_is_no_measurement(tmp_path):
    failing = Watched([sys.executable, "-c", "raise SystemExit(3)"], {}, tmp_path / "log")
    with failing, pytest.raises(RuntimeError, match="log"):
        failing.end()


def test_labels_are_compared_by_voxels_and_mean_dice():
    truth = np.array([[[0, 1, 1, 1, 2, 2]]], np.uint8)
    labels = np.array([[[0, 1, 1, 2, 2, 0]]], np.uint8)
    assert comparison.compare(truth, truth) == (0, 1.0)
    differing, dice = comparison.compare(truth, labels)
    assert differing == 2
    assert dice == pytest.approx((4 / 5 + 2 / 4) / 2)


def test_a_label_that_only_one_side_has_counts_as_missed():
    truth, labels = np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), np.uint8)
    labels[0, 0, 0] = 7
    assert comparison.compare(truth, labels) == (1, 0.0)


def test_rows_have_medians_and_ratios_to_the_official_engine():
    usages = [Usage(wall, 2 * wall, 1000.0) for wall in (10.0, 30.0, 20.0)]
    runs = {("official", "cold"): comparison.Runs(usages)}
    half = [Usage(10.0, 10.0, 250.0)]
    runs["exact", "warm"] = comparison.Runs(half, differing=3, dice=0.5)
    official, ours = comparison.rows("demo", runs, "official")
    assert official["wall_s"] == 20 and official["ratio_wall"] == 1
    assert ours == {
        "work": "demo",
        "mode": "exact",
        "state": "warm",
        "wall_s": 10.0,
        "cpu_s": 10.0,
        "peak_rss_mb": 250.0,
        "ratio_wall": 0.5,
        "ratio_cpu": 0.25,
        "ratio_rss": 0.25,
        "differing_voxels": 3,
        "dice": 0.5,
    }


def test_a_widened_image_keeps_its_voxels_in_place():
    grid = np.diag([-2.0, 2.0, 3.0, 1.0])
    image = Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), grid)
    wide = works.widened(image, 20.0)
    assert wide.array.shape == (2, 10, 10)
    (k, j, i) = np.argwhere(wide.array == image.array[1, 2, 3])[0]
    place = wide.ijk_to_ras @ [i, j, k, 1]
    np.testing.assert_allclose(place, grid @ [3, 2, 1, 1])


def test_a_resized_image_fills_the_same_space():
    image = Image(np.zeros((4, 6, 8), np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
    resized = works.resized(image, (32, 24, 8))
    assert resized.array.shape == (8, 24, 32)
    assert resized.spacing == (0.75, 0.75, 1.5)


def test_a_moved_image_has_the_same_voxels(tmp_path, monkeypatch):
    monkeypatch.setattr(works, "_IMAGES", tmp_path)
    image = Image(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    write_nifti(image, tmp_path / "ct.nii.gz")
    moved, _ = read_image(works.moved(tmp_path / "ct.nii.gz"))
    np.testing.assert_array_equal(moved.array, image.array)
    assert not np.array_equal(moved.ijk_to_ras, image.ijk_to_ras)


def test_what_a_cold_run_takes_longer_is_its_start(monkeypatch):
    monkeypatch.setattr(stages, "_limits", lambda: {"gflops": 100, "gb_s": 10})
    counts = dict.fromkeys(("image_voxels", "network_voxels", "weights", "features"), 0)
    counts |= {"windows": 1, "flops": int(200e9)}
    network = {"network": 4.0}
    columns = {
        ("official", "cold"): stages.Steps(20.0, {"start": 5.0, **network}),
        ("exact", "cold"): stages.Steps(9.0, network),
        ("exact", "warm"): stages.Steps(6.0, network),
    }
    table = stages.stage_table("fast-sample", counts, columns)
    assert "| start and imports | 5.00 | 3.00 | 0.00 |  |" in table
    assert "| network | 4.00 | 4.00 | 4.00 | 2.00 |" in table
    assert "| files, checks and all else | 11.00 | 2.00 | 2.00 |  |" in table


def test_works_are_the_named_ones_or_one_of_your_own():
    asked = argparse.Namespace(task="lung_vessels", speed="normal", image=None, work=[])
    (work,) = against_official.works_of(asked)
    assert (work.task, work.speed, work.image) == ("lung_vessels", "normal", "sample")
    nothing = argparse.Namespace(task=None, speed=None, image=None, work=[])
    names = [work.name for work in against_official.works_of(nothing)]
    assert names == list(against_official.QUICK_WORKS)
