"""What the measurements of MONAI's engines rest on."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "Benchmarks"))
if not Path("/proc/self/stat").exists():
    pytest.skip("the measurements read Linux's /proc", allow_module_level=True)

import monai_engines
from parts.gpu_memory import gpu_samples
from parts.monai_reference import Work

from TotalSegmentatorLib.runs import complete

WHOLE_BODY = Work("monai_bundle", "fast", "small", "")
NV = Work("nv_segment", "normal", "small", "96x96x96")


def test_the_memory_of_the_gpu_is_what_the_driver_says(tmp_path, monkeypatch):
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 100\necho 3000\necho 200\nexec sleep 60\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with gpu_samples("gpu") as samples:
        end = time.monotonic() + 10
        while len(samples) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    assert max(samples) == pytest.approx(3145.728)
    with gpu_samples("cpu") as samples:
        pass
    assert samples == []


@pytest.mark.parametrize("work", [WHOLE_BODY, NV], ids=lambda work: work.engine)
def test_both_are_asked_for_the_same(work, tmp_path):
    weights, image = tmp_path / "model.pt", tmp_path / "ct.nii.gz"
    (run,) = complete(work.request(weights, "cpu")).requests
    config = work.config(image, weights, "gpu")
    assert run.options["weights"] == config["weights"]["load_path"] == str(weights)
    assert config["dataset"]["data"][0]["image"] == str(image)
    assert config["evaluator"]["device"] == "cuda:0"
    if work is NV:
        assert run.structures == ("liver", "spleen", "pancreas", "aorta")
        assert config["dataset"]["data"][0]["label_prompt"] == [1, 3, 4, 6]
        assert config["inferer"]["roi_size"] == [96, 96, 96]
    else:
        assert run.structures == ()
        assert config["preparing"]["transforms"][4]["pixdim"] == [3.0, 3.0, 3.0]


@pytest.mark.parametrize(("spacing", "most", "sums_mb"), [(1.5, 0.3, 13_735), (3.0, 0.6, 1_709)])
def test_ours_holds_less_than_the_bundle(spacing, most, sums_mb):
    found = monai_engines.allocations(spacing)
    bundle, ours = (sum(row[side] for row in found) for side in (1, 2))
    assert ours < most * bundle
    (what, scores, _) = found[0]
    assert what.startswith("sums of scores")
    assert scores == pytest.approx(sums_mb, rel=0.01)
