"""What nv_segment can be asked for, and with which options."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from TotalSegmentatorLib import catalog, engines, runs
from TotalSegmentatorLib.engines import nv_segment
from TotalSegmentatorLib.engines.nv_segment.prompts import (
    FORBIDDEN,
    GROUPS,
    prompts_for,
    structures,
)
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.jobs import Request

TABLE = Path(__file__).parents[4] / "Tools" / "catalog_inputs" / "nv_segment_labels.csv"
TASKS = {id: catalog.task(id) for id in ("nv_ct_body", "nv_mri_body", "nv_mri_brain")}
CT, MR, BRAIN = TASKS.values()


@pytest.fixture(scope="module")
def own_names() -> dict[int, str]:
    """The network's own names of its prompts."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {int(row["label"]): row["name"] for row in csv.DictReader(file)}


def refused(task: catalog.Task, name: str) -> InputError:
    with pytest.raises(InputError) as caught:
        structures(task, [name])
    return caught.value


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_label_has_a_number_a_name_of_the_network_and_one_of_the_catalogue(task, own_names):
    for value, id in task.labels.items():
        own = own_names[value]
        asked = (str(value), own, own.upper(), id, catalog.structure(id).name)
        assert {structures(task, [name]) for name in asked} == {(id,)}, value


def test_what_is_no_prompt_is_no_label(own_names):
    labels = {value for task in TASKS.values() for value in task.labels}
    assert labels == set(range(1, 346)) - set(FORBIDDEN) - set(GROUPS)
    assert labels <= set(own_names)


def test_without_names_a_run_has_all_default_labels():
    assert [len(prompts_for(task, ())) for task in TASKS.values()] == [117, 50, 132]
    assert list(prompts_for(BRAIN, ())) == list(range(214, 346))
    assert 23 in CT.labels and 23 not in prompts_for(CT, ())


def test_asked_for_by_name_a_run_has_those_in_their_order():
    names = structures(CT, ["lung tumor", "1", "Spleen"])
    assert list(prompts_for(CT, names)) == [23, 1, 3]


@pytest.mark.parametrize(
    ("name", "prompts"),
    [
        ("kidney", [14, 5]),
        ("2", [14, 5]),
        ("Lung", [28, 29, 30, 31, 32]),
        ("20", [28, 29, 30, 31, 32]),
        ("bone", [*range(33, 57), *range(63, 98), 114, 120, 122]),
    ],
)
def test_a_group_stands_for_its_parts(name, prompts):
    assert list(prompts_for(CT, structures(CT, [name]))) == prompts


def test_in_mr_a_group_stands_for_the_parts_that_mr_has():
    bones = prompts_for(MR, structures(MR, ["bone"]))
    assert 87 in bones and 33 not in bones
    assert list(prompts_for(MR, structures(MR, ["lungs"]))) == [135, 136]


def test_what_is_asked_for_twice_is_given_once():
    assert len(structures(CT, ["kidney", "14", "left kidney", "kidney_left", "2"])) == 2


@pytest.mark.parametrize("prompt", FORBIDDEN)
def test_withdrawn_prompts_are_refused(prompt, own_names):
    assert own_names[prompt] == f"{FORBIDDEN[prompt]} (deprecated)"
    for name in (str(prompt), FORBIDDEN[prompt], FORBIDDEN[prompt].title()):
        error = refused(BRAIN, name)
        assert error.code == "input.forbidden_prompt"
        assert FORBIDDEN[prompt] in error.message and error.remedy
    assert refused(CT, str(prompt)).code == "input.forbidden_prompt"


def test_another_prompt_may_have_the_name_of_a_withdrawn_one():
    names = structures(CT, ["liver tumor"])
    assert list(prompts_for(CT, names)) == [26]


@pytest.mark.parametrize("name", ["0", "background", "Background"])
def test_the_background_is_refused(name):
    error = refused(BRAIN, name)
    assert error.code == "input.forbidden_prompt"
    assert "background" in error.message


@pytest.mark.parametrize(
    ("task", "name"),
    [(CT, "346"), (CT, "214"), (MR, "23"), (BRAIN, "1"), (CT, "livver"), (CT, "")],
)
def test_what_a_task_does_not_have_is_refused(task, name):
    error = refused(task, name)
    assert error.code == "input.unknown_structure"
    assert task.id in error.message


def test_close_names_are_told():
    assert "liver" in refused(CT, "livver").remedy
    assert "hippocampus" in refused(BRAIN, "hipocampus left").remedy


def test_names_are_understood_before_a_run():
    request = Request("nv_ct_body", structures=("14", "RIGHT KIDNEY"))
    (run,) = runs.complete(request).requests
    assert run.engine == "nv_segment"
    assert run.structures == ("kidney_left", "kidney_right")


def completed(task: str, **options) -> Request:
    (run,) = runs.complete(Request(task, options=options)).requests
    return run


@pytest.mark.parametrize(
    ("text", "meant"), [("false", False), ("False", False), ("no", False), ("TRUE", True)]
)
def test_a_text_means_what_it_says(text, meant):
    """The bundle's command line takes the text "false" for true."""
    assert completed("nv_ct_body", tensorrt=text).options["tensorrt"] is meant


@pytest.mark.parametrize(
    ("task", "options", "code"),
    [
        ("nv_ct_body", {"image_key": "image"}, "input.unknown_option"),
        ("nv_ct_body", {"skull_strip": "x"}, "input.unknown_option"),
        ("nv_mri_body", {"prepared": True}, "input.unknown_option"),
        ("nv_ct_body", {"tensorrt": "maybe"}, "input.bad_option"),
        ("nv_ct_body", {"window": "192x198x128"}, "input.bad_option"),
        ("nv_ct_body", {"overlap": 1.0}, "input.bad_option"),
        ("nv_ct_body", {"batch": 0}, "input.bad_option"),
        ("nv_ct_body", {"prompt_batch": -1}, "input.bad_option"),
        ("nv_mri_brain", {"prepared": True, "template": "t.nii"}, "input.bad_option"),
        ("nv_mri_brain", {"brain_mask": "m.nii", "skull_strip": "x"}, "input.bad_option"),
    ],
)
def test_options_that_make_no_sense_are_refused(task, options, code):
    with pytest.raises(InputError) as caught:
        completed(task, **options)
    assert caught.value.code == code


def test_the_network_can_halve_every_window_four_times():
    for text in nv_segment.WINDOWS:
        assert [edge % 16 for edge in nv_segment.window_size(text)] == [0, 0, 0]


def test_smaller_windows_and_fewer_structures_cost_less_memory():
    (whole,) = engines.networks(completed("nv_ct_body"))
    (small,) = engines.networks(completed("nv_ct_body", window="96x96x96", overlap=0.5))
    (all_at_once,) = engines.networks(completed("nv_ct_body", prompt_batch=512))
    assert whole.patch == (192, 192, 128) and small.patch == (96, 96, 96)
    assert (whole.step, small.step) == (0.75, 0.5)
    assert (whole.classes, all_at_once.classes) == (8, 117)
    first = nv_segment.SPEC.lighter[0]
    assert completed("nv_ct_body", **first.options).options["window"] == "128x128x128"


def test_weights_of_the_users_own_need_no_download(tmp_path):
    own = completed("nv_ct_body", weights=str(tmp_path / "model.pt"))
    assert engines.downloaded_models(own) == ()
    (model,) = engines.downloaded_models(completed("nv_ct_body"))
    assert (model.folder, model.checkpoint) == ("NV_Segment_CTMR", "model.pt")
