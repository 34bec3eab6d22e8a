"""From what is asked to what is run."""

from __future__ import annotations

import dataclasses

import pytest

from TotalSegmentatorLib import environment
from TotalSegmentatorLib.engines import options_of
from TotalSegmentatorLib.errors import InputError, SetupError
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.runs import check, complete
from TotalSegmentatorLib.session import Settings


def tasks_of(request: Request, modality: str = "") -> list[str]:
    return [run.task for run in complete(request, modality).requests]


def test_nothing_asked_for_is_the_whole_body():
    assert tasks_of(Request()) == ["total"]
    assert tasks_of(Request(), "MR") == ["total_mr"]
    assert tasks_of(Request(modality="MR"), "CT") == ["total_mr"]  # the user knows better


def test_structures_without_a_task_are_planned():
    runs = complete(Request(structures=("liver", "left kidney", "lung_vessels"), speed="fast"))
    assert [run.task for run in runs.requests] == ["total", "lung_vessels"]
    assert [run.speed for run in runs.requests] == ["fast", "normal"]
    assert runs.requests[0].structures == ("kidney_left", "liver")
    assert {run.engine for run in runs.requests} == {"nnunet"}
    assert "total (fast)" in runs.sentence
    assert runs.request is runs.asked  # the report holds what plans the same again
    assert {"liver", "kidney_left", "lung_veins"} <= runs.wanted
    assert runs.modality == "CT"


def test_options_reach_every_run():
    request = Request(structures=("liver", "lung_veins"), options={"robust_crop": True})
    assert all(run.options["robust_crop"] for run in complete(request).requests)


def test_an_engine_that_is_asked_for_runs_every_task_and_others_the_first_they_have():
    asked = Request(structures=("liver", "lung_veins"), engine="totalsegmentator")
    assert [run.engine for run in complete(asked).requests] == ["totalsegmentator"] * 2
    for task in ("total", "demo"):
        (run,) = complete(Request(task)).requests
        assert run.engine == "nnunet"
    (run,) = complete(Request("body", "totalsegmentator", structures=("skin",))).requests
    assert (run.engine, run.structures) == ("totalsegmentator", ("skin",))


@pytest.mark.parametrize(
    ("engine", "modality", "task"),
    [
        ("totalsegmentator", "CT", "total"),
        ("monai_bundle", "", "wholebody_ct"),
        ("nv_segment", "", "nv_ct_body"),
        ("nv_segment", "MR", "nv_mri_body"),
    ],
)
def test_an_engine_alone_runs_its_own_whole_body(engine, modality, task):
    (run,) = complete(Request(engine=engine), modality).requests
    assert (run.task, run.engine) == (task, engine)


def test_structures_are_taken_from_the_engine_that_is_asked_for():
    assert tasks_of(Request(structures=("liver", "aorta"))) == ["total"]
    assert tasks_of(Request(structures=("liver", "aorta"), engine="nv_segment")) == ["nv_ct_body"]
    assert tasks_of(Request(structures=("liver",), engine="monai_bundle")) == ["wholebody_ct"]


def test_a_plan_may_need_several_engines():
    """What was asked for reaches those that know it."""
    options = {"robust_crop": True, "window": "96x96x96", "threads": 2}
    wanted = ("liver", "lung_tumor")
    runs = complete(Request(structures=wanted, engine="totalsegmentator", options=options))
    official, other = runs.requests
    assert (official.task, official.engine) == ("total", "totalsegmentator")
    assert (other.task, other.engine) == ("nv_ct_body", "nv_segment")
    assert other.structures == ("lung_tumor",)
    assert official.options["robust_crop"] and "window" not in official.options
    assert other.options["window"] == "96x96x96" and "robust_crop" not in other.options
    assert official.options["threads"] == other.options["threads"] == 2
    assert "nv_ct_body (non-commercial; not run by totalsegmentator)" in runs.sentence
    assert complete(runs.request).requests == runs.requests


def test_what_is_only_on_request_is_no_part_of_the_whole():
    (whole,) = complete(Request("nv_ct_body")).requests
    assert whole.structures == ()
    (one,) = complete(Request("nv_ct_body", structures=("lung_tumor", "Liver"))).requests
    assert one.structures == ("lung_tumor", "liver")


def test_what_is_run_has_the_options_of_its_kind_and_runs_again():
    for request in (Request("total"), Request("total", "totalsegmentator"), Request("demo")):
        (run,) = complete(request).requests
        assert run.options.keys() == {option.name for option in options_of(run)}
        assert complete(run).requests == (run,)


def test_the_region_reaches_every_run():
    region = ((0.0, 0.0, 0.0), (50.0, 60.0, 70.0))
    runs = complete(Request(structures=("liver", "lung_veins"), region=region))
    assert [run.region for run in runs.requests] == [region, region]
    assert runs.request.region == region


def test_names_within_a_task_become_ids():
    (run,) = complete(Request("total", structures=("lungs", "Left kidney"))).requests
    assert run.structures[-1] == "kidney_left" and len(run.structures) == 6


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Request(structures=("livr",)), "input.unknown_structure"),
        (Request(structures=("liver",), speed="quick"), "input.unknown_speed"),
        (Request("demo", engine="totalsegmentator"), "input.wrong_engine"),
        (Request("total", engine="nnunett"), "input.unknown_engine"),
        (Request(structures=("liver",), options={"step_size": 0.5}), "input.unknown_option"),
        (Request("demo", options={"robust_crop": True}), "input.unknown_option"),
        (Request("total", "totalsegmentator", options={"compiled": 1}), "input.unknown_option"),
        (Request(structures=("lung_veins",), modality="MR"), "input.wrong_modality"),
        (Request(modality="PT"), "input.unknown_modality"),
        (Request("total", structures=("liver_vessels",)), "input.unknown_structure"),
        (Request("total", region=((0, 0, float("nan")),)), "input.bad_region"),
        (Request("total", region=((0, 0),)), "input.bad_region"),
        (Request("total", options={"small_blobs_mm3": 500}), "input.bad_option"),
        (Request("total", options={"threads": -1}), "input.bad_option"),
        (Request(engine="monai_bundle", modality="MR"), "input.wrong_engine"),
        (Request(structures=("liver",), engine="nv_segmnt"), "input.unknown_engine"),
        (Request(structures=("liver", "lung_tumor"), options={"x": 1}), "input.unknown_option"),
        (Request(structures=("liver", "lung_tumor"), options={"window": "9"}), "input.bad_option"),
        (Request("nv_ct_body", options={"template": "brain.nii"}), "input.unknown_option"),
    ],
)
def test_what_cannot_be_done_is_said(request_, code):
    with pytest.raises(InputError) as caught:
        complete(request_)
    assert caught.value.code == code
    assert caught.value.remedy


def test_all_that_was_asked_for_is_wanted_also_where_a_whole_task_gives_it():
    runs = complete(Request(structures=("liver", "coronary_arteries")))
    assert runs.wanted == {"liver", "coronary_arteries"}
    assert complete(Request("total")).wanted == frozenset()


def test_a_missing_licence_is_told_before_anything_is_run(tmp_path, engine):
    runs = complete(Request(structures=("liver", "coronary_arteries")))
    variables = {"TOTALSEG_HOME_DIR": str(tmp_path)}
    settings = Settings(dataclasses.replace(engine, variables=variables))
    with pytest.raises(SetupError) as caught:
        check(runs, settings)
    assert caught.value.code == "licence.missing"
    (tmp_path / "config.json").write_text('{"license_number": "aca_0123456789ABCD"}')
    with pytest.raises(SetupError) as caught:
        check(runs, settings)
    assert caught.value.code == "weights.missing"
    assert caught.value.message.count("Dataset298") == 1  # both tasks crop with it
    assert "aca_" not in str(caught.value)


def test_terms_must_be_accepted_before_weights_are_looked_for(tmp_path, engine, monkeypatch):
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    settings, runs = Settings(engine, weights=tmp_path), complete(Request("nv_ct_body"))
    with pytest.raises(SetupError) as caught:
        check(runs, settings)
    assert caught.value.code == "licence.not_accepted"
    environment.terms.accept("nv-segment-ctmr")
    with pytest.raises(SetupError) as caught:
        check(runs, settings)
    assert caught.value.code == "weights.missing"
    assert "NV_Segment_CTMR" in caught.value.message
    own = complete(Request("nv_ct_body", options={"weights": str(tmp_path / "model.pt")}))
    assert check(own, settings) is own
