"""Lists as people browse them: order, and what words find."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog.browsing import (
    giving_tasks,
    search_structures,
    search_tasks,
    search_words,
    structures_by_group,
    tasks_by_group,
)
from TotalSegmentatorLib.catalog.structures import GROUPS

LISTED = [task for task in catalog.tasks() if not task.hidden]


def offered(modality: str) -> list[str]:
    return [s.id for drawer in structures_by_group(modality).values() for s in drawer]


def test_every_listed_task_stands_once_in_its_group():
    groups = tasks_by_group()
    assert sum(map(len, groups.values())) == len(LISTED)
    assert next(iter(groups)) == LISTED[0].region
    for group, found in groups.items():
        assert list(found) == [task for task in LISTED if (task.family or task.region) == group]
    assert list(groups)[-2:] == ["MONAI whole-body CT", "NV-Segment-CTMR"]
    assert [task.id for task in groups["NV-Segment-CTMR"]] == [
        "nv_ct_body",
        "nv_mri_body",
        "nv_mri_brain",
    ]


def test_models_of_other_makers_are_found_by_their_name():
    assert list(search_tasks("monai")) == ["wholebody_ct"]
    assert search_tasks("nv-segment brain")["nv_mri_brain"] == ()
    assert "nv_ct_body" in search_tasks("lung tumor")
    assert "lung_tumor" in offered("CT") and "lung_tumor" not in offered("MR")
    assert [task.id for task in giving_tasks("lung_tumor")] == ["nv_ct_body"]


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_offered_structures_are_those_that_can_be_planned(modality):
    ids = offered(modality)
    assert len(ids) == len(set(ids))
    assert set(catalog.plan(ids, modality).structures) == set(ids)
    for id in ids:
        tasks = giving_tasks(id, modality)
        assert tasks and all(id in task.labels.values() for task in tasks)
        assert {task.modality for task in tasks} == {modality}
        assert not any(task.hidden or task.id == "demo" for task in tasks)


def test_unknown_modality_offers_what_either_gives():
    assert set(offered("")) == set(offered("CT")) | set(offered("MR"))
    assert offered("PT") == offered("")
    assert {task.id for task in giving_tasks("liver")} >= {"total", "total_mr"}
    assert giving_tasks("no_such_structure") == ()


def test_groups_keep_their_order_and_sides_stand_together():
    drawers = structures_by_group("CT")
    assert list(drawers) == [group for group in GROUPS if group in drawers]
    ids = [s.id for s in drawers["skeleton"]]
    assert ids.index("femur_right") == ids.index("femur_left") + 1
    assert ids.index("rib_right_7") == ids.index("rib_left_7") + 1
    lungs = [s.id for s in drawers["lungs"]]
    assert lungs.index("lung_upper_lobe_right") == lungs.index("lung_upper_lobe_left") + 1


@pytest.mark.parametrize(
    ("query", "modality", "first", "by"),
    [
        ("lung_vessels", "CT", "lung_vessels", ()),
        ("LIVER-segments", "CT", "liver_segments", ()),
        ("aneurysm", "", "brain_aneurysm", ()),
        ("left kidney", "MR", "total_mr", ("kidney_left",)),
        ("mr kidney", "", "total_mr", ("kidney_right", "kidney_left")),
        ("kídneys left", "MR", "total_mr", ("kidney_left",)),
        ("right kidney cyst", "CT", "total", ("kidney_cyst_right",)),
    ],
)
def test_words_find_tasks(query, modality, first, by):
    found = search_tasks(query, modality)
    assert next(iter(found)) == first
    assert found[first] == by


def test_kidney_finds_all_tasks_that_give_kidneys():
    found = search_tasks("kidney")
    giving = {task.id for task in LISTED if "kidney_left" in task.labels.values()}
    assert giving <= found.keys()
    assert "liver_segments" not in found


def test_words_of_two_structures_find_no_task():
    assert "total" in search_tasks("left rib") and "total" in search_tasks("liver")
    assert search_tasks("left liver", "MR") == {}
    assert search_tasks("no such thing") == {}


def test_words_of_a_description_do_not_mix_with_structures():
    assert "vessels" in catalog.task("total").description
    assert set(search_tasks("lung vessels", "CT")) == {"lung_vessels"}


def test_empty_query_finds_all_of_the_modality():
    assert list(search_tasks("  ")) == [task.id for task in LISTED]
    assert list(search_tasks("", "MR")) == [t.id for t in LISTED if t.modality == "MR"]
    assert search_structures(" ", "MR") == set(offered("MR"))


def test_words_begin_where_words_of_the_names_begin():
    assert search_structures("heart", "CT") >= {"heart", "heart_atrium_left"}
    assert "heart" not in search_structures("ear", "CT")
    assert search_structures("fdi 11", "CT") >= {"upper_right_central_incisor_fdi11"}


def test_names_of_groups_find_what_they_stand_for():
    bones = next(g for g in catalog.groups() if g.id == "bones").structures("CT")
    assert search_structures("skeleton", "CT") == set(bones)
    assert search_structures("skeleton") == set(bones) | search_structures("skeleton", "MR")
    assert set(search_tasks("skeleton", "CT")["total"]) <= set(bones)


def test_every_structure_is_found_by_its_name_and_its_id():
    for id in offered(""):
        assert id in search_structures(catalog.structure(id).name), id
        assert id in search_structures(id.upper()), id
    for task in LISTED[::5]:
        for id in task.labels.values():
            assert task.id in search_tasks(catalog.structure(id).name, task.modality), id


@given(st.text(max_size=30))
def test_no_text_breaks_the_search(text):
    assert all(word.isalnum() or "_" in word for word in search_words(text))
    assert set(search_tasks(text)) <= {task.id for task in LISTED}
    assert search_structures(text, "CT") <= set(offered("CT"))
