"""What ``report.json`` and the files with voxels say of a run, also of several tasks."""

from __future__ import annotations

import json
from pathlib import Path

from TotalSegmentatorLib.jobs import EngineResult, Request
from TotalSegmentatorLib.report import make_report, provenance_texts, public_provenance


def run(task: str, demo: bool, model: str = "") -> tuple[Request, EngineResult]:
    provenance = {"engine": "fake", "model": [f"model of {task}"], "demo": demo}
    result = EngineResult(Path("labels.nii"), {}, provenance, {"network": 1.5, task: 2.0})
    return Request(task, model=model), result


def report(*runs) -> dict:
    source = {"path": "/patients/Muster Max/ct.nii.gz", "sha256": "abcdef"}
    return make_report(source, Request(structures=("liver",)), runs, [], [], 9.0)


def test_one_run_says_what_its_engine_said():
    made = report(run("total", demo=False))
    assert made["provenance"] == {"engine": "fake", "model": ["model of total"], "demo": False}
    assert made["timings_s"] == {"network": 1.5, "total": 9.0}
    assert made["request"]["structures"] == ["liver"]
    assert [one["request"]["task"] for one in made["runs"]] == ["total"]


def test_several_runs_are_joined_and_one_demo_makes_all_a_demo():
    made = report(run("total", demo=False), run("demo", demo=True))
    assert made["provenance"]["demo"] is True
    assert made["provenance"]["engine"] == "fake"
    assert made["provenance"]["model"] == [["model of total"], ["model of demo"]]
    assert made["timings_s"] == {"network": 3.0, "total": 9.0, "demo": 2.0}
    assert [one["provenance"]["demo"] for one in made["runs"]] == [False, True]


def test_what_files_carry_says_nothing_of_the_input_or_of_where_models_lie():
    made = report(run("custom", demo=False, model="/home/muster/models/knee"))
    public = public_provenance(made)
    text = json.dumps(public) + json.dumps(provenance_texts(made))
    for secret in ("Muster", "muster", "/patients", "ct.nii", "abcdef"):
        assert secret not in text
    assert public["requests"][0]["model"] == "knee"
    assert all(isinstance(value, str) for value in provenance_texts(made).values())


def test_what_files_carry_says_nothing_of_where_files_of_options_lie():
    options = {
        "weights": "/home/muster/bundles/model.pt",
        "template": "",
        "skull_strip": "/home/muster/strip {input} {output}",
        "overlap": 0.25,
    }
    _, result = run("nv_mri_brain", demo=False)
    made = report((Request("nv_mri_brain", "nv_segment", options=options), result))
    assert made["runs"][0]["request"]["options"] == options  # to run it again
    public = public_provenance({**made, "asked": made["runs"][0]["request"]})
    (request,) = public["requests"]
    assert request["options"] == {"weights": "model.pt", "template": "", "overlap": 0.25}
    assert "muster" not in json.dumps(public)
