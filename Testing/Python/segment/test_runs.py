"""From what is asked to what is run."""

from __future__ import annotations

import pytest

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.runs import complete


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
    assert {run.engine for run in runs.requests} == {"totalsegmentator"}
    assert "total (fast)" in runs.sentence
    assert runs.request is runs.asked  # the report holds what plans the same again
    assert {"liver", "kidney_left", "lung_veins"} <= runs.wanted
    assert runs.modality == "CT"


def test_options_reach_every_run():
    request = Request(structures=("liver", "lung_veins"), options={"robust_crop": True})
    assert all(run.options["robust_crop"] for run in complete(request).requests)


def test_names_within_a_task_become_ids():
    (run,) = complete(Request("total", structures=("lungs", "Left kidney"))).requests
    assert run.structures[-1] == "kidney_left" and len(run.structures) == 6


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Request(structures=("livr",)), "input.unknown_structure"),
        (Request(structures=("liver",), speed="quick"), "input.unknown_speed"),
        (Request(structures=("liver",), engine="nnunet"), "input.wrong_engine"),
        (Request(structures=("liver",), options={"step_size": 0.5}), "input.unknown_option"),
        (Request(structures=("lung_veins",), modality="MR"), "input.wrong_modality"),
        (Request(modality="PT"), "input.unknown_modality"),
        (Request("total", structures=("liver_vessels",)), "input.unknown_structure"),
    ],
)
def test_what_cannot_be_done_is_said(request_, code):
    with pytest.raises(InputError) as caught:
        complete(request_)
    assert caught.value.code == code
    assert caught.value.remedy
