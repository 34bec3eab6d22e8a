"""The list of tasks as people use it: look, search, choose, filter."""

from __future__ import annotations

from pathlib import Path

import pytest
import qt_tree
import slicer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.environment import Device
from TotalSegmentatorLib.estimate import Estimate, time_text

ROOT = Path(__file__).resolve().parents[3]
UI = ROOT / "TotalSegmentator" / "Resources" / "UI" / "TotalSegmentator.ui"
LISTED = [task for task in catalog.tasks() if not task.hidden]
GROUPS = list(dict.fromkeys(task.family or task.region for task in LISTED))
FAMILIES = list(dict.fromkeys(task.family for task in LISTED if task.family))
CT = {task.title for task in LISTED if task.modality == "CT"}
MR = {task.title for task in LISTED if task.modality == "MR"}
NOTHING = "No task matches."
REGION = "Heart and vessels"


class Panel:
    """The picker in the real panel, and what it called back."""

    def __init__(self) -> None:
        from TotalSegmentatorWidgets.TaskPicker import TaskPicker

        self.widget = slicer.util.loadUI(str(UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.calls: list[str] = []
        self.picker = TaskPicker(
            self.ui, lambda: self.calls.append("task"), lambda: self.calls.append("filter")
        )

    @property
    def tree(self):
        return self.ui.taskTree

    def search(self, text: str) -> None:
        self.ui.taskSearchBox.text = text

    def item(self, title: str):
        return qt_tree.item(self.tree, title)

    def titles(self) -> list[str]:
        return qt_tree.shown_rows(self.tree)

    def selected(self) -> list[str]:
        return [item.text(0) for item in self.tree.selectedItems()]


@pytest.fixture
def panel(host):
    made = Panel()
    yield made
    made.widget.delete()
    assert host.slotErrors == []


def title(task: str) -> str:
    return catalog.task(task).title


def test_fresh_list_shows_all_groups_folded(panel):
    groups = qt_tree.shown_groups(panel.tree)
    assert groups == GROUPS
    assert not any(qt_tree.group(panel.tree, group).isExpanded() for group in groups)
    assert sorted(panel.titles()) == sorted(task.title for task in LISTED)
    assert panel.picker.task == "" and panel.selected() == [] and panel.calls == []
    assert NOTHING not in qt_tree.shown_tops(panel.tree)


def test_titles_of_regions_are_those_of_the_catalogue(host):
    from TotalSegmentatorWidgets import TaskPicker

    regions = {task.region for task in LISTED if not task.family}
    assert regions <= TaskPicker._regionTitles().keys()


def test_tasks_of_others_stand_below_whose_models_they_are(panel):
    assert len(FAMILIES) == 2 and qt_tree.shown_groups(panel.tree)[-2:] == FAMILIES
    for family in FAMILIES:
        rows = qt_tree.children(qt_tree.group(panel.tree, family))
        assert [row.text(0) for row in rows] == [t.title for t in LISTED if t.family == family]


def test_choosing_a_task_calls_back_once(panel):
    panel.tree.setCurrentItem(panel.item(title("lung_vessels")))
    assert panel.picker.task == "lung_vessels"
    assert panel.calls == ["task"]
    panel.tree.setCurrentItem(panel.item(title("lung_vessels")))
    assert panel.calls == ["task"]


def test_setting_the_task_shows_it_and_calls_nobody(panel):
    panel.picker.task = "aortic_sinuses"
    assert panel.selected() == [title("aortic_sinuses")]
    assert panel.item(REGION).isExpanded()
    assert panel.tree.currentItem().text(0) == title("aortic_sinuses")
    assert panel.calls == []


def in_view(panel, task: str) -> bool:
    place = panel.tree.visualItemRect(panel.item(title(task)))
    return place.top() >= 0 and place.bottom() < panel.tree.height


def test_chosen_task_is_scrolled_into_view(panel):
    panel.widget.show()
    for region in qt_tree.shown_groups(panel.tree):
        panel.item(region).setExpanded(True)
    for task in ("vertebrae_pp_refined", "total"):
        panel.picker.task = task
        assert in_view(panel, task)
    panel.tree.scrollToBottom()
    panel.picker.task = "total"  # nothing new: people may look elsewhere meanwhile
    assert not in_view(panel, "total")
    qt_tree.press(panel.ui.taskSearchBox, "Down")
    assert in_view(panel, "total")


@pytest.mark.parametrize("way", ["keyboard", "mouse"])
def test_a_region_is_no_choice(panel, way):
    panel.picker.task = "total"
    region = panel.item(REGION)
    if way == "keyboard":
        panel.tree.setCurrentItem(region)
    else:
        panel.widget.show()
        qt_tree.click(panel.tree, region)
    assert panel.tree.currentItem().text(0) == REGION
    assert panel.picker.task == "total"
    assert panel.selected() == [title("total")]
    assert panel.calls == []


def test_a_click_chooses_and_moves_no_row(panel):
    panel.picker.task = "liver_segments"
    panel.search("kidney")
    panel.widget.show()
    before = panel.titles()
    qt_tree.click(panel.tree, panel.item(title("kidney_cysts")))
    assert panel.calls == ["task"] and panel.picker.task == "kidney_cysts"
    assert panel.titles() == before
    panel.search("kidney c")
    assert title("liver_segments") not in panel.titles()


def test_unknown_and_hidden_tasks_are_kept_with_nothing_selected(panel):
    panel.picker.task = "total"
    for id in ("total_highres_test", "no_such_task", ""):
        panel.picker.task = id
        assert panel.picker.task == id
        assert panel.selected() == []
    assert panel.calls == []


def test_search_shows_tasks_by_name_and_by_structure(panel):
    panel.search("Left KIDNEY")
    assert panel.titles() == [
        title(id)
        for id in (
            *("total", "total_mr", "total_v3", "demo", "kidney_cysts"),
            *("wholebody_ct", "nv_ct_body", "nv_mri_body"),
        )
    ]
    assert qt_tree.shown_groups(panel.tree) == ["Whole body", "Abdomen", *FAMILIES]
    assert all(panel.item(r).isExpanded() for r in ("Whole body", "Abdomen", *FAMILIES))
    assert "Left kidney" in panel.item(title("demo")).text(1)
    assert "Left kidney cyst" in panel.item(title("total")).toolTip(1)
    panel.search("")
    assert "Left kidney" not in panel.item(title("demo")).text(1)
    assert not panel.item("Whole body").isExpanded()


def test_search_without_result_says_so(panel):
    panel.search("qqq")
    assert qt_tree.shown_tops(panel.tree) == [NOTHING]
    assert panel.item(NOTHING).isDisabled()
    panel.picker.task = "teeth"
    assert panel.titles() == ["Teeth"]
    assert NOTHING in qt_tree.shown_tops(panel.tree)
    panel.search("")
    assert NOTHING not in qt_tree.shown_tops(panel.tree)


def test_folded_regions_come_back_after_a_search(panel):
    panel.item("Spine").setExpanded(True)
    panel.search("liver")
    panel.picker.task = "liver_segments"
    panel.search("")
    unfolded = [r for r in qt_tree.shown_groups(panel.tree) if panel.item(r).isExpanded()]
    assert unfolded == ["Abdomen", "Spine"]


def test_return_takes_the_first_task_found(panel):
    panel.widget.show()
    panel.picker.task = "total"
    panel.search("vertebra")
    panel.search("vertebrae mr")
    qt_tree.press(panel.ui.taskSearchBox, "Return")
    assert panel.picker.task == "vertebrae_mr"
    assert panel.calls == ["task"]
    assert panel.widget.focusWidget() == panel.tree


def test_return_takes_the_task_that_was_named(panel):
    panel.search("teeth")
    assert panel.titles()[0] != "Teeth"
    qt_tree.press(panel.ui.taskSearchBox, "Return")
    assert panel.picker.task == "teeth"


def test_return_without_a_search_keeps_the_task(panel):
    panel.picker.task = "teeth"
    qt_tree.press(panel.ui.taskSearchBox, "Return")
    assert panel.picker.task == "teeth" and panel.calls == []
    panel.search("qqq")
    qt_tree.press(panel.ui.taskSearchBox, "Return")
    assert panel.picker.task == "teeth" and panel.calls == []


def test_down_key_goes_from_the_search_to_the_list(panel):
    panel.widget.show()
    panel.picker.task = "teeth"
    panel.search("liver")
    qt_tree.press(panel.ui.taskSearchBox, "Down")
    assert panel.widget.focusWidget() == panel.tree
    assert panel.picker.task == "teeth" and panel.calls == []
    panel.picker.task = ""
    qt_tree.press(panel.ui.taskSearchBox, "Down")
    assert panel.picker.task == "total" and panel.calls == ["task"]


def test_modality_follows_the_volume(panel):
    box = panel.ui.modalityComboBox
    assert box.itemText(0) == "Fits the volume (all)"
    panel.picker.setVolumeModality("CT")
    assert box.itemText(0) == "Fits the volume (CT)"
    assert set(panel.titles()) == CT
    panel.picker.setVolumeModality("MR")
    assert set(panel.titles()) == MR
    panel.picker.setVolumeModality("PT")
    assert set(panel.titles()) == CT | MR
    assert panel.calls == []


def test_choosing_a_modality_calls_back_once(panel):
    panel.picker.setVolumeModality("CT")
    panel.picker.task = "total"
    panel.ui.modalityComboBox.setCurrentIndex(panel.ui.modalityComboBox.findData("MR"))
    assert panel.calls == ["filter"]
    assert panel.picker.modalityFilter == "MR"
    assert set(panel.titles()) == MR | {title("total")}  # the chosen one stays
    assert panel.selected() == [title("total")]


@pytest.mark.parametrize(
    ("value", "kept", "shown"),
    [("CT", "CT", CT), ("MR", "MR", MR), ("all", "all", CT | MR), ("?", "", MR)],
)
def test_setting_the_modality_calls_nobody(panel, value, kept, shown):
    panel.picker.setVolumeModality("MR")
    panel.picker.modalityFilter = value
    assert panel.picker.modalityFilter == kept
    assert set(panel.titles()) == shown
    assert panel.calls == []


def test_marks_say_modality_licence_resolution_and_download(panel):
    panel.picker.setDownloads({"aortic_sinuses": 230, "total_mr": 0})
    assert panel.item(title("aortic_sinuses")).text(1) == "CT, licence, 0.7 mm, 230 MB"
    assert "230 MB are to be downloaded" in panel.item(title("aortic_sinuses")).toolTip(1)
    assert panel.item(title("total_mr")).text(1) == "MR, 1.5 mm"
    panel.picker.setDownloads({})
    assert panel.item(title("aortic_sinuses")).text(1) == "CT, licence, 0.7 mm"
    assert panel.calls == []


def test_marks_name_the_terms_of_models_of_others(panel):
    for task in LISTED:
        if task.terms:
            terms = catalog.terms(task.terms)
            item = panel.item(task.title)
            assert item.text(1).startswith(f"{task.modality}, {terms.title}, ")
            told = [qt_tree.plain(item.toolTip(column)) for column in (0, 1)]
            assert all(terms.sentence in text for text in told)


def test_estimates_are_shown_beside_the_tasks(panel):
    def estimated(seconds: float) -> Estimate:
        device = Device("cpu", "Processor", 16 * 2**30, 2**30)
        memory = (2**30, 2**30, 0, 0, 0)
        return Estimate(seconds, seconds, seconds, *memory, ((1.5,) * 3,), 0, device, 16 * 2**30)

    panel.picker.setEstimates({"total": estimated(600), "wholebody_ct": estimated(120)})
    assert panel.item(title("total")).text(2) == "10 min"
    assert panel.item(title("wholebody_ct")).text(2) == "2 min"
    assert "about 10 min, 1 GB memory" in panel.item(title("total")).toolTip(2)
    assert panel.item(title("total_mr")).text(2) == ""
    panel.picker.setEstimates({})
    assert {panel.item(task.title).text(2) for task in LISTED} == {""}
    assert panel.item(title("total")).toolTip(2) == "" and panel.calls == []


def test_times_fit_into_the_narrow_column(host):
    from TotalSegmentatorWidgets.TaskPicker import _briefly

    texts = {_briefly(time_text(seconds)) for seconds in range(1, 200_000, 10)}
    assert max(map(len, texts)) <= 7 and {"< 1 min", "10 min", "1.5 h", "> 1 day"} <= texts


def test_tooltips_tell_what_the_tasks_are(panel):
    for task in LISTED:
        text = qt_tree.plain(panel.item(task.title).toolTip(0))
        assert task.description in text and f"Task: {task.id}" in text
        assert f"Structures ({len(task.default_labels)})" in text
        names = [catalog.structure(id).name for id in task.default_labels.values()]
        assert ", ".join(names) in text, task.id
        assert ("licence number" in text) == task.licensed
        assert engines.spec(task.engine).title in text
        assert (f"asked for by name ({len(task.on_request)})" in text) == bool(task.on_request)


def test_tooltip_of_very_many_structures_gives_the_number_of_the_rest(monkeypatch):
    from TotalSegmentatorWidgets import TaskPicker

    monkeypatch.setattr(TaskPicker, "_NAMED", 100)
    text = qt_tree.plain(TaskPicker._toolTip(catalog.task("total"), ["nnU-Net"]))
    assert text.count(", ") >= 99 and text.rstrip().endswith("and 17 more")


def test_tooltip_gives_the_resolutions(panel):
    text = qt_tree.plain(panel.item(title("total")).toolTip(0))
    assert "Speeds: normal (1.5 mm), fast (3 mm), fastest (6 mm)" in text
    text = qt_tree.plain(panel.item(title("brain_structures")).toolTip(0))
    assert "normal (0.5 x 0.5 x 1 mm)" in text


WORDS = st.sampled_from(["", "kidney", "liver", "zzz", "left", "mr", "vert", "tumor"])
ACTIONS = st.one_of(
    st.tuples(st.just("search"), WORDS),
    st.tuples(st.just("volume"), st.sampled_from(["CT", "MR", ""])),
    st.tuples(st.just("modality"), st.sampled_from(["", "CT", "MR", "all"])),
    st.tuples(st.just("task"), st.sampled_from([task.id for task in LISTED])),
    st.tuples(st.just("choose"), st.sampled_from([task.id for task in LISTED])),
    st.tuples(st.just("group"), st.sampled_from(GROUPS)),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, max_size=12))
def test_chosen_task_is_seen_and_selected_after_any_actions(panel, actions):
    picker = panel.picker
    panel.search("")
    picker.task = "total"
    for action, value in actions:
        before = picker.task
        if action == "search":
            panel.search(value)
        elif action == "volume":
            picker.setVolumeModality(value)
        elif action == "modality":
            picker.modalityFilter = value
        elif action == "task":
            picker.task = value
        else:
            group = action == "group"
            item = qt_tree.group(panel.tree, value) if group else panel.item(title(value))
            if not item.isHidden():
                panel.tree.setCurrentItem(item)
        if action not in ("task", "choose"):
            assert picker.task == before
        assert panel.selected() == [title(picker.task)]
        assert title(picker.task) in panel.titles()
        kind = picker.modalityFilter or picker._volumeModality
        others = {t for t in panel.titles() if t != title(picker.task)}
        if action not in ("choose", "group") and kind in ("CT", "MR"):
            assert others <= (CT if kind == "CT" else MR)
