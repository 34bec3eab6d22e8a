"""From words of people to tasks: the right ones, the fewest, and a sentence that says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Plan, plan, structures_in, task
from TotalSegmentatorLib.catalog.groups import MODALITIES, offered_tasks
from TotalSegmentatorLib.catalog.tasks import _table
from TotalSegmentatorLib.errors import InputError

OFFERED = {modality: offered_tasks(modality) for modality in MODALITIES}
GIVEN = {
    modality: sorted({id for task in tasks for id in task.labels.values()})
    for modality, tasks in OFFERED.items()
}
# One structure for every set of tasks that give it: among these, choices matter.
CONTESTED = {
    modality: sorted(
        {
            tuple(t.id for t in OFFERED[modality] if id in t.labels.values()): id for id in ids
        }.values()
    )
    for modality, ids in GIVEN.items()
}
OFFICIAL = [t for tasks in OFFERED.values() for t in tasks if "totalsegmentator" in t.engines]
names = st.sampled_from(MODALITIES).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.lists(st.sampled_from(GIVEN[kind]), min_size=1, max_size=30, unique=True)
    )
)
contested = st.sampled_from(MODALITIES).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.lists(st.sampled_from(CONTESTED[kind]), min_size=1, max_size=20, unique=True),
    )
)


def steps(chosen: Plan) -> list[tuple[str, tuple[str, ...], str]]:
    return [(step.task, step.structures, step.speed) for step in chosen.steps]


def tasks_of(chosen: Plan) -> list[str]:
    return [step.task for step in chosen.steps]


def given_by(chosen: Plan) -> Iterator[str]:
    for step in chosen.steps:
        yield from step.structures or catalog.task(step.task).default_labels.values()


def needs_acceptance(task: catalog.Task) -> bool:
    return bool(task.terms) and catalog.terms(task.terms).accept


def error(*arguments: object, **options: object) -> InputError:
    with pytest.raises(InputError) as caught:
        plan(*arguments, **options)  # type: ignore[arg-type]
    return caught.value


# What is chosen


def test_offered_tasks_are_neither_hidden_nor_the_demo() -> None:
    ids = {task.id for tasks in OFFERED.values() for task in tasks}
    left_out = {task.id for task in catalog.tasks()} - ids
    assert {"demo", "lung_vessels_LEGACY", "total_highres_test"} <= left_out
    assert {"total", "total_mr", "face", "lung_vessels"} <= ids


def test_one_structure() -> None:
    assert steps(plan(["liver"])) == [("total", ("liver",), "normal")]


def test_several_tasks_the_whole_body_first() -> None:
    chosen = plan(["lung_arteries", "liver", "Left kidney"])
    assert steps(chosen) == [
        ("total", ("kidney_left", "liver"), "normal"),
        ("lung_vessels", ("lung_arteries",), "normal"),
    ]


def test_outlines_come_before_what_lies_in_them() -> None:
    wanted = ["liver segments", "liver", "body_trunc", "mediastinum", "skeletal_muscle"]
    expected = ["body", "trunk_cavities", "tissue_types", "total", "liver_segments"]
    assert tasks_of(plan(wanted)) == expected


def test_all_structures_of_a_task_are_the_task_without_a_subset() -> None:
    total = catalog.task("total").labels.values()
    assert steps(plan(total)) == [("total", (), "normal")]
    assert plan(list(total)[1:]).steps[0].structures == tuple(total)[1:]
    assert steps(plan(["lung_vessels", "lung_airways", "lung_airways_wall"])) == [
        ("lung_vessels", (), "normal")
    ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["vertebrae_L1"], ["total"]),
        (["skull"], ["total"]),
        (["skull", "mandible"], ["craniofacial_structures"]),
        (["skull", "mandible", "liver"], ["total", "craniofacial_structures"]),
        (["vertebrae_L6", "liver"], ["total_v3"]),
        (["vertebrae_L6", "vertebrae_S1"], ["total", "total_v3"]),
        (["optic_nerve_left", "eyeball_left"], ["oculomotor_muscles"]),
        (["optic_nerve_left", "eye_left"], ["head_glands_cavities"]),
        (["optic_nerve_left"], ["head_glands_cavities"]),
        (["trapezius_left"], ["abdominal_muscles"]),
        (["trapezius_left", "platysma_left"], ["headneck_muscles"]),
        (["skeletal_muscle"], ["tissue_types"]),
        (["skeletal_muscle", "intermuscular_fat"], ["tissue_4_types"]),
        (["kidney_cyst_left"], ["total"]),
    ],
)
def test_fewest_and_fitting_tasks(wanted: list[str], expected: list[str]) -> None:
    assert tasks_of(plan(wanted, "CT")) == expected


def test_mr_tasks_for_mr() -> None:
    assert tasks_of(plan(["sacrum", "liver"], "MR")) == ["total_mr"]
    assert tasks_of(plan(["sacrum", "vertebrae_L1"], "MR")) == ["vertebrae_mr"]
    assert tasks_of(plan(["liver_lesions"], "MR")) == ["liver_lesions_mr"]
    assert tasks_of(plan(["liver_lesions"], "CT")) == ["liver_lesions"]


def test_unknown_modality_is_ct_unless_only_mr_has_it() -> None:
    assert tasks_of(plan(["spine"])) == ["total"]
    assert tasks_of(plan(["brain_aneurysm", "liver"])) == ["total_mr", "brain_aneurysm"]


def test_free_tasks_before_licensed_ones() -> None:
    chosen = plan(["aorta", "heart_atrium_left"])
    assert tasks_of(chosen) == ["total", "heartchambers_highres"]
    assert "heartchambers_highres (needs a licence)" in chosen.sentence
    free = plan(["trapezius_left", "psoas_major_left"])
    assert not any(catalog.task(id).licensed for id in tasks_of(free))


def test_a_task_near_the_heart_does_not_give_the_aorta() -> None:
    """Even if licensed tasks are welcome: it sees a part of the aorta only."""
    chosen = plan(["aorta", "heart_atrium_left"], licensed=True)
    assert steps(chosen)[0] == ("total", ("aorta",), "normal")


def test_licensed_tasks_may_save_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """No real task is so: a licensed one that gives what free ones give, without a crop."""
    monkeypatch.setitem(catalog.task("tissue_types").labels, 99, "liver")
    wanted = ["liver", "torso_fat", "skeletal_muscle"]
    assert tasks_of(plan(wanted)) == ["tissue_types", "total"]
    assert tasks_of(plan(wanted, licensed=True)) == ["tissue_types"]
    assert tasks_of(plan(["liver"], licensed=True)) == ["total"]


def test_speeds() -> None:
    fast = plan(["liver", "lung_arteries", "body_trunc"], speed="fast")
    assert {step.task: step.speed for step in fast.steps} == {
        "body": "fast",
        "total": "fast",
        "lung_vessels": "normal",
    }
    fastest = plan(["liver", "body_trunc"], speed="fastest")
    assert [step.speed for step in fastest.steps] == ["fast", "fastest"]
    assert [step.speed for step in plan(["liver"], speed="normal").steps] == ["normal"]


def offer(monkeypatch: pytest.MonkeyPatch, *speeds: str) -> None:
    """Let the task total offer these speeds only."""
    total = catalog.task("total")
    fewer = replace(total, speeds={speed: total.speeds[speed] for speed in speeds})
    monkeypatch.setitem(_table(), "total", fewer)


def test_speeds_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next finer one; a coarser one only where there is no finer one."""
    offer(monkeypatch, "normal", "fastest")
    assert plan(["liver"], speed="fast").steps[0].speed == "normal"
    offer(monkeypatch, "fastest")
    assert plan(["liver"]).steps[0].speed == "fastest"


def test_ties_are_decided_by_licence_models_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Structures are added to tasks that come earlier in the catalogue, but do worse."""
    monkeypatch.setitem(catalog.task("tissue_types").labels, 99, "breast")
    assert tasks_of(plan(["breast"], licensed=True)) == ["breasts"]
    monkeypatch.setitem(catalog.task("ventricle_parts").labels, 99, "tongue")
    assert tasks_of(plan(["tongue"])) == ["head_muscles"]
    (model,) = catalog.task("body").speeds["normal"]
    coarse = [replace(model, dataset_id=id, spacing_mm=(6.0, 6.0, 6.0)) for id in (1, 2)]
    monkeypatch.setitem(catalog.task("body").speeds, "normal", tuple(coarse))
    monkeypatch.setitem(catalog.task("body").labels, 99, "hip_implant")
    monkeypatch.setitem(catalog.task("vertebrae_body").labels, 99, "hip_implant")
    assert tasks_of(plan(["hip_implant"])) == ["vertebrae_body"]


def test_other_engines_only_for_what_nothing_else_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    official = (catalog.task("total"), catalog.task("lung_vessels"))
    others = tuple(replace(task, engines=("other",)) for task in official)
    offered = {"CT": (*others, catalog.task("craniofacial_structures")), "MR": ()}
    monkeypatch.setattr("TotalSegmentatorLib.catalog.planning.offered_tasks", offered.get)
    assert tasks_of(plan(["lung_veins"])) == ["lung_vessels"]
    assert tasks_of(plan(["skull"])) == ["craniofacial_structures"]
    assert tasks_of(plan(["skull", "liver"])) == ["total", "craniofacial_structures"]


def test_an_engine_that_is_asked_for_gives_what_it_can() -> None:
    chosen = plan(["liver", "kidney_cyst_left", "lung_arteries"], engine="nv_segment")
    assert tasks_of(chosen) == ["lung_vessels", "nv_ct_body"]
    assert "task lung_vessels (not run by nv_segment) for lung_arteries" in chosen.sentence.lower()
    assert plan(["liver"], engine="totalsegmentator") == plan(["liver"])


def test_terms_that_must_be_accepted_are_avoided_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    only = plan(["lung_tumor"])
    assert only.sentence == "Task nv_ct_body (non-commercial) for lung_tumor."
    monkeypatch.setitem(catalog.task("wholebody_ct").labels, 999, "lung_tumor")
    assert tasks_of(plan(["lung_tumor"])) == ["wholebody_ct"]


def test_what_is_given_on_request_is_asked_for_by_name() -> None:
    task = catalog.task("nv_ct_body")
    whole = list(task.default_labels.values())
    assert steps(plan(whole, engine="nv_segment")) == [("nv_ct_body", (), "normal")]
    (step,) = plan([*whole, "lung_tumor"], engine="nv_segment").steps
    assert set(step.structures) == {*whole, "lung_tumor"}


# Properties


@settings(deadline=None, max_examples=150)
@given(names | contested, st.booleans(), st.sampled_from(["", *catalog.SPEEDS]), st.randoms())
def test_every_structure_is_given_once_by_steps_that_can_run(
    wanted: tuple[str, list[str]], licensed: bool, speed: str, random
) -> None:
    modality, ids = wanted
    chosen = plan(ids, modality, speed, licensed)
    assert sorted(given_by(chosen)) == sorted(ids)
    assert len(set(tasks_of(chosen))) == len(chosen.steps)
    for step in chosen.steps:
        task = catalog.task(step.task)
        assert task.modality == modality and task in OFFERED[modality]
        assert task.required_models(step.speed, step.structures)
    shuffled = random.sample(ids, len(ids))
    assert plan(shuffled, modality, speed, licensed).steps == chosen.steps


@settings(deadline=None, max_examples=200)
@given(contested)
def test_no_fewer_tasks_could_give_the_same(wanted: tuple[str, list[str]]) -> None:
    """By brute force over the tasks that the plan itself could use."""
    modality, ids = wanted
    count = len(plan(ids, modality, licensed=True).steps)
    # A crop around something else may cut a structure; such a task counts if it is alone.
    sources = []
    for id in ids:
        giving = [t for t in OFFERED[modality] if id in t.labels.values()]
        giving = [t for t in giving if t in OFFICIAL] or giving
        giving = [t for t in giving if not needs_acceptance(t)] or giving
        whole = [t for t in giving if t.crop is None or id in t.crop.structures]
        sources.append({t.id for t in whole or giving})
    usable = sorted(set().union(*sources))
    forced = {min(one) for one in sources if len(one) == 1}
    rest = [one for one in sources if not one & forced]
    size = count - len(forced) - 1
    fewer = combinations([id for id in usable if id not in forced], size) if size >= 0 else ()
    assert not any(all(one & set(choice) for one in rest) for choice in fewer)


@settings(deadline=None, max_examples=100)
@given(names | contested)
def test_licensed_tasks_only_for_what_nothing_free_gives(wanted: tuple[str, list[str]]) -> None:
    modality, ids = wanted
    free = {
        id
        for t in OFFICIAL
        if t.modality == modality and not t.licensed
        for id in t.labels.values()
    }
    for step in plan(ids, modality).steps:
        task = catalog.task(step.task)
        if task.licensed:
            assert free.isdisjoint(step.structures or task.labels.values())


def test_every_structure_of_every_offered_task_can_be_planned() -> None:
    for modality, ids in GIVEN.items():
        for id in ids:
            assert list(given_by(plan([id], modality))) == [id]
            assert id in plan([id], modality).sentence
            name = catalog.structure(id).name
            assert catalog.understand([name], modality).structures, name
        everything = plan(ids, modality)
        assert sorted(given_by(everything)) == ids


# Words


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("kidney_left", ["kidney_left"]),
        ("Left kidney", ["kidney_left"]),
        ("KIDNEY-left ", ["kidney_left"]),
        ("kidney", ["kidney_right", "kidney_left"]),
        ("Kidneys", ["kidney_right", "kidney_left"]),
        ("femur", ["femur_left", "femur_right"]),
        ("iliac arteries", ["iliac_artery_left", "iliac_artery_right"]),
        ("clavicles", ["clavicula_left", "clavicula_right"]),
        ("scapulae", ["scapula_left", "scapula_right"]),
        ("liver lesion", ["liver_lesions"]),
        ("bladder", ["urinary_bladder"]),
        ("vertebra l1", ["vertebrae_L1"]),
        ("heart", ["heart"]),
        ("brain", ["brain"]),
        ("lung", ["lung"]),
        ("airway", ["lung_airways"]),
    ],
)
def test_words_for_structures(word: str, ids: list[str]) -> None:
    assert list(catalog.understand([word], "CT").structures) == ids


@pytest.mark.parametrize(
    ("word", "ct", "mr"),
    [
        ("lungs", 5, 2),
        ("Left lung", 2, 1),
        ("spine", 26, 25),
        ("vertebrae", 25, 1),
        ("cervical spine", 7, 7),
        ("ribs", 24, 0),
        ("left ribs", 12, 0),
        ("skeleton", 62, 12),
        ("muscles", 10, 10),
        ("Blood vessels", 16, 7),
        ("teeth", 32, 0),
        ("tooth pulps", 32, 0),
        ("eye muscle", 14, 0),
        ("liver segments", 8, 8),
        ("heart chambers", 4, 0),
        ("everything", 117, 50),
    ],
)
def test_words_for_groups(word: str, ct: int, mr: int) -> None:
    assert len(set(catalog.understand([word], "CT").structures)) == ct
    if mr:
        assert len(set(catalog.understand([word], "MR").structures)) == mr
    else:
        assert error([word], "MR").code == "input.wrong_modality"


def test_an_id_is_the_structure_where_a_task_gives_it_else_the_group() -> None:
    assert catalog.understand(["vertebrae", "lung_left"], "MR").structures == (
        "vertebrae",
        "lung_left",
    )
    lobes = ("lung_upper_lobe_left", "lung_lower_lobe_left")
    assert catalog.understand(["lung_left"], "CT").structures == lobes


def test_names_that_overlap_are_taken_once() -> None:
    ids = catalog.understand(["kidneys", "kidney_left", "abdominal organs"], "CT").structures
    assert len(ids) == len(set(ids)) == 12


@pytest.mark.parametrize("group", catalog.groups(), ids=lambda group: group.id)
def test_groups_are_sound(group: catalog.Group) -> None:
    found = {modality: group.structures(modality) for modality in MODALITIES}
    assert any(found.values()) and group.title
    for rule in group.rules:
        name, _, pattern = rule.partition(":")
        task = catalog.task(name)
        alone = catalog.Group("alone", "", (), (rule,)).structures(task.modality)
        assert alone, f"{pattern} matches nothing in {name}"
        assert task in OFFERED[task.modality]
    for modality, ids in found.items():
        if ids:
            chosen = plan([group.title], modality)
            assert sorted(given_by(chosen)) == sorted(ids)
            # Half a licence would be a surprise.
            assert len({catalog.task(id).licensed for id in tasks_of(chosen)}) == 1


@pytest.mark.parametrize("modality", MODALITIES)
def test_structures_of_other_engines_take_no_words_from_groups(modality: str) -> None:
    own = {id for t in OFFICIAL for id in t.labels.values()}
    for group in catalog.groups():
        for word in (group.id, group.title, *group.aliases):
            if group.structures(modality):
                found = catalog.understand([word], modality).structures
                assert found == group.structures(modality) or own.issuperset(found), word


def test_no_word_stands_for_two_groups() -> None:
    words = [
        word.casefold().replace("_", " ")
        for group in catalog.groups()
        for word in {group.id.casefold().replace("_", " "), *group.aliases}
    ]
    assert sorted(words) == sorted(set(words))


# What is wrong


def test_nothing_asked_for() -> None:
    assert error([]).code == "input.no_structure"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("leftt kidny", "kidney_left"),
        ("lnugs", "lungs"),
        ("livre", "liver"),
        ("back bonee", "spine"),
        ("lung_trachea_bronchia", "airways"),
    ],
)
def test_unknown_names_get_close_ones(wrong: str, hint: str) -> None:
    caught = error(["liver", wrong])
    assert caught.code == "input.unknown_structure"
    assert f"'{wrong}'" in caught.message and hint in caught.remedy
    assert caught.remedy.count(" or ") <= 2


def test_names_with_nothing_near_still_get_a_remedy() -> None:
    assert "list of structures" in error(["xyzzy"]).remedy


def test_structures_of_hidden_tasks_are_not_planned() -> None:
    assert error(["lung_covid_infiltrate"]).code == "input.unknown_structure"


def test_ct_only_structure_in_mr() -> None:
    caught = error(["liver", "lung_upper_lobe_left"], "MR")
    assert caught.code == "input.wrong_modality"
    assert "MR" in caught.message and "lung_upper_lobe_left" in caught.message
    assert "take CT images" in caught.remedy and "lung_left" in caught.remedy
    assert "take MR images" in error(["brain_aneurysm"], "CT").remedy


def test_structures_of_different_modalities() -> None:
    caught = error(["liver", "brain_aneurysm", "trachea"])
    assert caught.code == "input.wrong_modality"
    assert "'trachea' (CT only) and 'brain_aneurysm' (MR only)" in caught.message


def test_other_modalities_and_speeds() -> None:
    assert "CT or MR" in error(["liver"], "PT").remedy
    caught = error(["liver"], speed="quick")
    assert caught.code == "input.unknown_speed" and "normal, fast, fastest" in caught.remedy


# The sentence


@pytest.mark.parametrize(
    ("wanted", "options", "sentence"),
    [
        (["liver"], {}, "Task total (normal) for liver."),
        (
            ["kidney_left", "liver", "lung_veins"],
            {},
            "Task total (normal) for kidney_left and liver, and task lung_vessels for lung_veins.",
        ),
        (["ribs", "liver"], {}, "Task total (normal) for ribs (24 structures) and liver."),
        (["liver"], {"speed": "fast"}, "Task total (fast) for liver."),
        (
            ["lung_veins"],
            {"speed": "fast"},
            "Task lung_vessels (normal, as it has no fast) for lung_veins.",
        ),
        (
            ["face"],
            {"speed": "fastest"},
            "Task face (normal, as it has no fastest; needs a licence) for face.",
        ),
        (["vertebrae"], {"modality": "MR"}, "Task total_mr (normal) for vertebrae."),
        (["brain_aneurysm"], {}, "For MR images, task brain_aneurysm for brain_aneurysm."),
        (
            ["carotids", "ribs", "spine"],
            {},
            "Task total (normal) for carotids (2 of 4 structures), ribs (24 structures) and spine "
            "(26 structures), and task headneck_bones_vessels for internal_carotid_artery_right "
            "and internal_carotid_artery_left.",
        ),
    ],
)
def test_sentence(wanted: list[str], options: dict[str, str], sentence: str) -> None:
    assert plan(wanted, **options).sentence == sentence


def test_long_lists_are_counted() -> None:
    ribs = [f"rib_left_{number}" for number in range(1, 13)]
    assert plan(ribs).sentence == "Task total (normal) for 12 structures."


def test_a_plan_is_data() -> None:
    chosen = plan(["liver", "lung_veins"])
    assert chosen == plan(["liver", "lung_veins"]) and hash(chosen)
    assert json.dumps([vars(step) for step in chosen.steps])


def test_names_within_a_task() -> None:
    total = task("total")
    assert structures_in(total, ["liver", "Left kidney"]) == ("liver", "kidney_left")
    assert set(structures_in(total, ["ribs"])) == {
        id for id in total.labels.values() if id.startswith("rib_")
    }
    with pytest.raises(InputError) as caught:
        structures_in(total, ["liver_vessels"])
    assert caught.value.code == "input.unknown_structure"


def test_a_task_without_a_crop_for_subsets_needs_all_its_models() -> None:
    muscles = task("headneck_muscles")
    assert muscles.required_models("normal", ("platysma_left",)) == muscles.required_models(
        "normal"
    )
