"""The list of structures as people use it: check, search, presets, clear, another modality."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import pytest
import qt_tree
import slicer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog.browsing import (
    giving_tasks,
    search_structures,
    structures_by_group,
)
from TotalSegmentatorLib.catalog.structures import GROUPS
from TotalSegmentatorLib.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
UI = ROOT / "TotalSegmentator" / "Resources" / "UI" / "TotalSegmentator.ui"
PRESETS = ("lungs", "spine", "ribs", "heart", "bones", "muscles", "vessels")
ORDER = [s.id for s in catalog.structures()]
ID_OF = {s.name: s.id for s in catalog.structures()}
KIDNEYS = ("kidney_right", "kidney_left")
NOTHING = "No structure matches."
URINARY = GROUPS["urinary"]


@cache
def offered(modality: str) -> dict[str, set[str]]:
    """Ids of structures by the title of their group."""
    found = structures_by_group(modality)
    return {GROUPS[group]: {s.id for s in drawer} for group, drawer in found.items()}


@cache
def on_request(modality: str) -> set[str]:
    """Ids of structures that are only found if they are asked for by name."""
    ids = set().union(*offered(modality).values())
    return {id for id in ids if all(id in t.on_request for t in giving_tasks(id, modality))}


def preset(name: str, modality: str) -> set[str]:
    """Ids that a preset stands for."""
    try:
        return set(catalog.understand([name], modality).structures)
    except InputError:
        return set()


class Panel:
    """The picker in the real panel, and how often it called back."""

    def __init__(self) -> None:
        from qt import Qt
        from TotalSegmentatorWidgets.StructurePicker import StructurePicker

        self.states = {"none": Qt.Unchecked, "some": Qt.PartiallyChecked, "all": Qt.Checked}
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.calls = 0
        self.picker = StructurePicker(self.ui, self._count)

    def _count(self) -> None:
        self.calls += 1

    @property
    def tree(self):
        return self.ui.structureTree

    def button(self, name: str):
        return getattr(self.ui, f"{name}PresetButton")

    def search(self, text: str) -> None:
        self.ui.structureSearchBox.text = text

    def row(self, id: str):
        return qt_tree.item(self.tree, catalog.structure(id).name)

    def click(self, item) -> None:
        """Toggle a box as a click does: all but checked ones become checked."""
        checked = item.checkState(0) == self.states["all"]
        item.setCheckState(0, self.states["none"] if checked else self.states["all"])

    def checked(self) -> set[str]:
        """Ids of all boxes that are checked."""
        rows = [row for top in qt_tree.tops(self.tree) for row in qt_tree.children(top)]
        return {ID_OF[row.text(0)] for row in rows if row.checkState(0) == self.states["all"]}

    def state(self, title: str) -> str:
        state = qt_tree.group(self.tree, title).checkState(0)
        return next(name for name, value in self.states.items() if value == state)


@pytest.fixture
def panel(host):
    made = Panel()
    made.picker.setModality("CT")
    yield made
    made.widget.delete()
    assert host.slotErrors == []


@pytest.mark.parametrize("modality", ["CT", "MR", ""])
def test_list_shows_what_the_modality_offers(panel, modality):
    panel.picker.setModality(modality)
    drawers = offered(modality)
    assert qt_tree.shown_groups(panel.tree) == [t for t in GROUPS.values() if t in drawers]
    assert {ID_OF[name] for name in qt_tree.shown_rows(panel.tree)} == set().union(
        *drawers.values()
    )
    assert panel.checked() == set() and panel.picker.structures == () and panel.calls == 0


def test_titles_of_groups_are_those_of_the_catalogue(host):
    from TotalSegmentatorWidgets import StructurePicker

    assert StructurePicker._groupTitles() == dict(GROUPS)


def test_checking_a_structure_calls_back_once(panel):
    panel.click(panel.row("kidney_left"))
    assert panel.picker.structures == ("kidney_left",)
    assert panel.state(URINARY) == "some"
    assert panel.calls == 1
    panel.click(panel.row("kidney_left"))
    assert panel.picker.structures == ()
    assert panel.state(URINARY) == "none"
    assert panel.calls == 2


def test_a_mouse_click_on_the_box_checks(panel):
    panel.widget.show()
    panel.ui.findTabWidget.setCurrentWidget(panel.ui.structuresTab)
    panel.search("left kidney")
    qt_tree.click_box(panel.tree, panel.row("kidney_left"))
    assert panel.picker.structures == ("kidney_left",) and panel.calls == 1
    qt_tree.click_box(panel.tree, qt_tree.group(panel.tree, URINARY))
    assert panel.picker.structures == () and panel.calls == 2


def test_box_of_a_group_checks_all_of_it_that_is_usual(panel):
    group = qt_tree.group(panel.tree, URINARY)
    panel.click(group)
    usual = offered("CT")[URINARY] - on_request("CT")
    assert set(panel.picker.structures) == panel.checked() == usual
    assert panel.calls == 1
    panel.click(panel.row("kidney_left"))
    assert panel.state(URINARY) == "some"
    panel.click(group)
    assert panel.state(URINARY) == "all"
    panel.click(group)
    assert panel.checked() == set() and panel.calls == 4


def test_box_of_a_group_touches_only_what_the_search_shows(panel):
    panel.picker.checked = ["urinary_bladder"]
    panel.search("kidney")
    group = qt_tree.group(panel.tree, URINARY)
    assert panel.state(URINARY) == "some"
    panel.click(group)
    assert panel.state(URINARY) == "all"
    panel.click(group)
    assert panel.picker.structures == ("urinary_bladder",)
    panel.click(group)
    panel.search("")
    panel.click(panel.row("urinary_bladder"))
    panel.search("kidney")
    panel.click(group)  # half full because of a hidden row
    assert panel.picker.structures == () and panel.state(URINARY) == "none"


def test_setting_structures_checks_them_and_calls_nobody(panel):
    panel.picker.checked = ["liver", "no_such_thing", *KIDNEYS]
    assert panel.picker.structures == tuple(id for id in ORDER if id in ("liver", *KIDNEYS))
    assert panel.checked() == {"liver", *KIDNEYS}
    panel.picker.checked = []
    assert panel.checked() == set() and panel.calls == 0


def test_what_the_modality_lacks_comes_back_with_the_other(panel):
    panel.picker.checked = ["liver", "rib_left_1"]
    panel.picker.setModality("MR")
    assert panel.picker.structures == ("liver",)
    assert panel.checked() == {"liver"}
    panel.click(panel.row("spleen"))
    panel.picker.setModality("CT")
    assert set(panel.picker.structures) == {"liver", "rib_left_1", "spleen"}
    assert panel.checked() == {"liver", "rib_left_1", "spleen"}
    assert panel.calls == 1


def test_clear_unchecks_all(panel):
    panel.ui.clearStructuresButton.click()
    assert panel.calls == 0
    panel.picker.checked = ["liver", "rib_left_1"]
    panel.picker.setModality("MR")
    panel.search("kidney")
    panel.ui.clearStructuresButton.click()
    assert panel.calls == 1
    panel.picker.setModality("CT")
    assert panel.picker.structures == () and panel.checked() == set()


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("name", PRESETS)
def test_preset_checks_and_unchecks_its_structures(panel, name, modality):
    panel.picker.setModality(modality)
    button, ids = panel.button(name), preset(name, modality)
    assert button.enabled == bool(ids)
    button.click()
    assert set(panel.picker.structures) == ids
    assert button.checked == bool(ids) and panel.calls == bool(ids)
    for id in sorted(ids)[:1]:
        panel.click(panel.row(id))
        assert not button.checked
        panel.click(panel.row(id))
        assert button.checked
        button.click()
        assert panel.picker.structures == () and not button.checked


def test_ribs_belong_to_bones_too(panel):
    panel.button("bones").click()
    assert panel.button("ribs").checked and panel.button("spine").checked
    panel.button("ribs").click()
    assert not panel.button("bones").checked and panel.button("spine").checked
    assert panel.calls == 2


def test_second_column_says_who_finds_it(panel):
    assert panel.row("spleen").text(1) == "total, total_v3, 2 more"
    assert panel.row("heart_atrium_left").text(1).startswith("heartchambers_highres, wholebody_ct")
    assert panel.row("kidney_cyst_left").text(1).startswith("total, total_v3, ")
    assert "kidney_cysts: Kidney cysts" in panel.row("kidney_cyst_left").toolTip(1)
    licensed = set()
    for id in set().union(*offered("CT").values()):
        if all(task.licensed for task in giving_tasks(id, "CT")):
            licensed.add(id)
        assert ("needs a licence" in panel.row(id).text(1)) == (id in licensed)
    assert licensed
    panel.picker.setModality("MR")
    assert panel.row("spleen").text(1) == "total_mr, nv_mri_body"


def test_what_is_found_on_request_only_says_so_and_is_checked_one_by_one(panel):
    ids = on_request("CT")
    assert {"lung_tumor", "colon_cancer"} <= ids
    assert all("on request" in panel.row(id).text(1) for id in ids)
    group = qt_tree.group(panel.tree, GROUPS["lesions"])
    panel.click(group)
    assert panel.picker.structures and ids.isdisjoint(panel.picker.structures)
    assert panel.state(GROUPS["lesions"]) == "all"
    panel.click(panel.row("lung_tumor"))
    assert "lung_tumor" in panel.picker.structures and panel.state(GROUPS["lesions"]) == "all"
    panel.click(group)
    assert panel.picker.structures == ()
    panel.search("lung tumor")
    panel.click(group)  # which has nothing else to check
    assert panel.picker.structures == () and panel.state(GROUPS["lesions"]) == "none"
    panel.click(panel.row("lung_tumor"))
    assert panel.picker.structures == ("lung_tumor",)
    assert panel.state(GROUPS["lesions"]) == "some"
    assert panel.calls == 4


def test_structures_come_from_the_engine_that_has_them(panel):
    panel.picker.checked = ["spleen", "lung_tumor"]
    steps = panel.picker.plan("normal", "CT").steps
    assert [(step.task, step.structures) for step in steps] == [
        ("total", ("spleen",)),
        ("nv_ct_body", ("lung_tumor",)),
    ]
    assert "non-commercial" in panel.ui.planLabel.text
    panel.picker.checked = ["spleen"]
    (step,) = panel.picker.plan("normal", "CT", "monai_bundle").steps
    assert step.task == "wholebody_ct"


def test_search_shows_matches_and_folds_again(panel):
    panel.search("left kidney")
    assert qt_tree.shown_rows(panel.tree) == ["Left kidney", "Left kidney cyst"]
    assert qt_tree.group(panel.tree, URINARY).isExpanded()
    panel.search("skeleton")
    assert {ID_OF[n] for n in qt_tree.shown_rows(panel.tree)} == preset("bones", "CT")
    panel.search("qqq")
    assert qt_tree.shown_tops(panel.tree) == [NOTHING]
    panel.search("")
    assert not qt_tree.group(panel.tree, URINARY).isExpanded()
    assert NOTHING not in qt_tree.shown_tops(panel.tree)
    assert panel.calls == 0


def test_search_stays_when_the_modality_changes(panel):
    panel.search("kidney")
    panel.picker.setModality("MR")
    assert qt_tree.shown_rows(panel.tree) == ["Left kidney", "Right kidney"]


def test_plan_is_told_in_a_sentence(panel):
    label = panel.ui.planLabel
    assert panel.picker.plan("normal", "CT") is None
    assert label.text == "Check the structures to segment."
    panel.button("lungs").click()
    panel.click(panel.row("liver"))
    plan = panel.picker.plan("fast", "CT")
    assert label.text == plan.sentence == "Task total (fast) for lungs (5 structures) and liver."
    assert set(plan.structures) == {"liver", *preset("lungs", "CT")}
    assert [step.speed for step in plan.steps] == ["fast"]


def test_plan_names_the_largest_preset_only(panel):
    panel.button("bones").click()
    assert panel.picker.plan("normal", "CT").sentence.startswith("Task total (normal) for bones (")
    assert "ribs" not in panel.ui.planLabel.text


def test_plan_gives_no_more_than_what_is_checked_of_a_preset(panel):
    panel.picker.checked = ["rib_left_1", "vertebrae_L1", "lung_upper_lobe_left", "aorta"]
    plan = panel.picker.plan("normal", "CT")
    assert set(plan.structures) == set(panel.picker.structures)
    assert plan.steps[0].structures and "lungs" not in panel.ui.planLabel.text


def test_plan_that_cannot_be_made_says_why(panel):
    panel.picker.setModality("")
    panel.picker.checked = ["rib_left_1", "brain_aneurysm"]
    assert panel.picker.plan("normal", "") is None
    assert "No image gives both" in panel.ui.planLabel.text
    panel.picker.checked = ["rib_left_1", *sorted(preset("lungs", "CT"))]
    assert {s.task for s in panel.picker.plan("normal", "").steps} == {"total"}
    assert panel.picker.plan("normal", "PT") is None
    assert "'PT'" in panel.ui.planLabel.text


def test_plan_gives_whatever_is_checked(panel):
    for modality in ("CT", "MR", ""):
        panel.picker.setModality(modality)
        panel.picker.checked = ORDER
        everything = set().union(*offered(modality).values())
        assert set(panel.picker.structures) == everything
        if modality:
            assert set(panel.picker.plan("fastest", modality).structures) == everything


def test_filling_and_searching_are_quick(panel):
    start = time.process_time()
    made = Panel()
    assert time.process_time() - start < 0.5  # measured: 0.1 s, most of it reading the .ui
    for text in ("l", "le", "left", ""):
        start = time.process_time()
        made.search(text)
        assert time.process_time() - start < 0.1  # measured: 0.001 s
    made.widget.delete()


class Clicks(RuleBasedStateMachine):
    """Any clicks; the model is the set of ids that should be checked."""

    panel: Panel

    def __init__(self) -> None:
        super().__init__()
        self.modality = "CT"
        self.query = ""
        self.wanted: set[str] = set()
        self.calls = 0
        self.panel.search("")
        self.panel.picker.setModality("CT")
        self.panel.picker.checked = []
        self.panel.calls = 0

    @property
    def offered(self) -> set[str]:
        return set().union(*offered(self.modality).values())

    def change(self, wanted: set[str]) -> None:
        self.calls += wanted != self.wanted
        self.wanted = wanted

    @rule(modality=st.sampled_from(["CT", "MR", ""]))
    def choose_modality(self, modality):
        self.modality = modality
        self.panel.picker.setModality(modality)

    @rule(query=st.sampled_from(["", "left", "kidney", "rib", "vertebra", "qqq"]))
    def search(self, query):
        self.query = query
        self.panel.search(query)

    @precondition(lambda self: self.shown())
    @rule(data=st.data())
    def click_row(self, data):
        id = data.draw(st.sampled_from(sorted(self.shown())))
        self.panel.click(self.panel.row(id))
        self.change(self.wanted ^ {id})

    @precondition(lambda self: self.shown())
    @rule(data=st.data())
    def click_group(self, data):
        title = data.draw(st.sampled_from(qt_tree.shown_groups(self.panel.tree)))
        ids = self.shown() & offered(self.modality)[title]
        usual = ids - on_request(self.modality)
        self.panel.click(qt_tree.group(self.panel.tree, title))
        self.change(self.wanted - ids if usual <= self.wanted else self.wanted | usual)

    @rule(name=st.sampled_from(PRESETS))
    def click_preset(self, name):
        ids = preset(name, self.modality)
        self.panel.button(name).click()
        self.change(self.wanted - ids if ids <= self.wanted else self.wanted | ids)

    @rule()
    def clear(self):
        self.panel.ui.clearStructuresButton.click()
        self.change(set())

    @rule(ids=st.lists(st.sampled_from([*ORDER[:120], "vertebrae", "no_such"]), max_size=9))
    def set(self, ids):
        self.panel.picker.checked = ids
        known = set().union(*offered("").values())
        self.wanted = known.intersection(ids)

    def shown(self) -> set[str]:
        return set(search_structures(self.query, self.modality))

    @invariant()
    def panel_shows_the_model(self):
        seen = self.wanted & self.offered
        panel = self.panel
        assert panel.picker.structures == tuple(id for id in ORDER if id in seen)
        assert panel.checked() == seen
        assert {ID_OF[n] for n in qt_tree.shown_rows(panel.tree)} == self.shown()
        for title, ids in offered(self.modality).items():
            usual = (ids - on_request(self.modality)) or ids
            state = "none" if ids.isdisjoint(seen) else "all" if usual <= seen else "some"
            assert panel.state(title) == state, title
        for name in PRESETS:
            ids = preset(name, self.modality)
            assert panel.button(name).checked == (bool(ids) and ids <= seen), name
        assert panel.calls == self.calls


@pytest.mark.slow
def test_any_clicks_leave_what_the_model_says(panel):
    Clicks.panel = panel
    run_state_machine_as_test(
        Clicks, settings=settings(max_examples=15, stateful_step_count=12, deadline=None)
    )
