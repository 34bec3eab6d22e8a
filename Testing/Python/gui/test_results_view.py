"""What people see of a result, and where it leads: views, table, clipboard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from panel_parts import double_click, panel_ui, press
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStyledItemDelegate

from TotalSegmentatorLib.images import Image, Notice
from TotalSegmentatorLib.jobs import EngineResult, Request
from TotalSegmentatorLib.report import make_report, measure
from TotalSegmentatorLib.scene.volumes import array_to_matrix

NAMES = {1: "spleen", 2: "kidney_right", 3: "liver", 4: "lung_upper_lobe_left"}
MATRIX = np.array([[5.0, 0, 0, -20], [0, 5, 0, 10], [0, 0, 5, 100], [0, 0, 0, 1]])
NOTICES = (
    Notice("input.no_orientation", "Muster.nii.gz does not state its orientation."),
    Notice("result.implausible_volume", "Spleen has 1.5 mL, where 80 to 400 mL are plausible."),
)


def made_report(
    task: str = "total", demo: bool = False, notices=NOTICES, label: int = 1, **provenance
) -> dict:
    """A spleen of 12 voxels, a liver of 8000 at the border, no kidney, no lung."""
    labels = np.zeros((40, 30, 30), np.uint8)
    labels[20:40, 0:20, 0:20] = 3
    labels[4:6, 3:5, 3:6] = label
    image = Image(np.full(labels.shape, 50, np.int16), MATRIX)
    structures = measure(image.with_array(labels), image, NAMES, task)
    request = Request(task, modality="CT" if task == "total" else "MR")
    provenance = {"engine": "fake", "demo": demo, **provenance}
    result = EngineResult(Path("labels.nii"), NAMES, provenance, {})
    source = {"path": "/patients/Muster/ct.nii.gz", "sha256": "abcdef"}
    return make_report(source, request, [(request, result)], structures, notices, 9.0)


@pytest.fixture
def ui(host):
    slicer.app.clipboard().setText("what was copied before")
    with panel_ui(host) as loaded:
        loaded.resultsCollapsibleButton.collapsed = False
        yield loaded


@pytest.fixture
def view(ui):
    from TotalSegmentatorWidgets.ResultsView import ResultsView

    made = ResultsView(ui)
    yield made
    made.clear()


def items(ui) -> list:
    return [ui.resultsTree.topLevelItem(row) for row in range(ui.resultsTree.topLevelItemCount)]


def names(ui) -> list[str]:
    return [item.text(0) for item in items(ui)]


def found_names(ui) -> list[str]:
    """Of those with numbers: whether the others come first or last depends on Qt's version."""
    return [item.text(0) for item in items(ui) if item.data(1, Qt.DisplayRole) is not None]


def header(ui) -> list[str]:
    return [ui.resultsTree.headerItem().text(column) for column in range(4)]


def item(ui, name: str):
    return next(item for item in items(ui) if item.text(0) == name)


def add(kind: str, name: str = "made"):
    return slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}Node", name)


def center(slice_node) -> np.ndarray:
    """(3,) RAS mm of what is in the middle of a slice view."""
    matrix = slice_node.GetSliceToRAS()
    return np.array([matrix.GetElement(row, 3) for row in range(3)])


def test_nothing_is_shown_before_a_result(ui, view):
    assert ui.resultsLabel.text == ""
    assert items(ui) == []
    assert not ui.showTableButton.enabled
    assert not ui.copyReportButton.enabled


def test_summary_counts_and_warns(ui, view):
    view.show([made_report()])
    assert ui.resultsLabel.text.splitlines() == [
        "2 found, 2 not found, 1 at the border.",
        "Warning: Muster.nii.gz does not state its orientation.",
        "Warning: Spleen has 1.5 mL, where 80 to 400 mL are plausible.",
    ]
    view.show([made_report(demo=True, notices=())])
    assert ui.resultsLabel.text.splitlines() == [
        "DEMO MODEL - not for any real use",
        "2 found, 2 not found, 1 at the border.",
    ]


def test_many_warnings_do_not_fill_the_panel(ui, view):
    view.show([made_report(notices=[Notice("x.y", f"Note {n}.") for n in range(8)])])
    lines = ui.resultsLabel.text.splitlines()
    assert lines[-2:] == ["Warning: Note 4.", "3 more warnings: see the log."]
    assert len(lines) == 7


def test_table_lists_what_was_found_first(ui, view):
    view.show([made_report()])
    assert header(ui) == ["Structure", "Volume (mL)", "Mean HU", "Remark"]
    assert names(ui) == ["Spleen", "Liver", "Right kidney", "Left lung upper lobe"]
    spleen, liver, kidney, _ = items(ui)
    assert spleen.data(1, Qt.DisplayRole) == 1.5
    assert spleen.data(2, Qt.DisplayRole) == 50.0
    assert liver.data(1, Qt.DisplayRole) == 1000.0
    assert kidney.data(1, Qt.DisplayRole) is None
    assert kidney.text(2) == ""
    assert [line.text(3) for line in items(ui)] == [
        "See the warning",
        "At the border",
        "Not found",
        "Not found",
    ]
    assert spleen.toolTip(3) == NOTICES[1].message


def test_numbers_are_written_in_the_way_of_the_country(ui, view):
    view.show([made_report()])
    delegate = ui.resultsTree.itemDelegate()
    assert isinstance(delegate, QStyledItemDelegate)
    value = item(ui, "Liver").data(1, Qt.DisplayRole)
    assert delegate.displayText(value, ui.resultsTree.locale) in ("1000", "1,000")


def test_numbers_are_sorted_as_numbers(ui, view):
    view.show([made_report()])
    ui.resultsTree.sortByColumn(1, Qt.DescendingOrder)
    assert found_names(ui) == ["Liver", "Spleen"]
    ui.resultsTree.sortByColumn(1, Qt.AscendingOrder)
    assert found_names(ui) == ["Spleen", "Liver"]  # as texts, 1000 would come first
    view.show([made_report()])  # the next result is sorted in the same way
    assert found_names(ui) == ["Spleen", "Liver"]
    ui.resultsTree.sortByColumn(0, Qt.AscendingOrder)
    assert names(ui) == ["Left lung upper lobe", "Liver", "Right kidney", "Spleen"]


def test_intensities_of_mr_are_no_hounsfield_units(ui, view):
    view.show([made_report(task="total_mr")])
    assert header(ui)[2] == "Mean intensity"
    report = made_report()
    report["runs"][0]["request"]["task"] = "of a newer version"
    view.show([report])
    assert header(ui)[2] == "Mean HU"  # the request says CT


def test_warnings_stand_at_the_structure_that_they_name(ui, view):
    notices = [
        Notice("result.sides", "The image seems to be mirrored: the right kidney lies wrong."),
        Notice("result.other", "Spleens and liver-like things."),
        Notice("input.other", "Liver."),
    ]
    view.show([made_report(notices=notices)])
    assert item(ui, "Right kidney").toolTip(3) == notices[0].message
    assert item(ui, "Spleen").text(3) == ""
    assert item(ui, "Liver").toolTip(3) == notices[1].message


def test_warning_about_a_part_is_none_about_the_whole(ui, view):
    report = made_report(notices=[Notice("result.other", "The liver segment is small.")])
    for structure, name in zip(report["structures"], ("Liver segment", "Kidney"), strict=False):
        structure["name"] = name
    view.show([report])
    assert item(ui, "Liver segment").text(3) == "See the warning"
    assert item(ui, "Liver").text(3) == "At the border"


def test_double_click_centres_the_views_on_the_structure(ui, view):
    slice_node = add("Slice")
    view.show([made_report()], add("Segmentation"))
    double_click(ui.resultsTree, item(ui, "Spleen"))
    assert center(slice_node) == pytest.approx([0.0, 27.5, 122.5])
    double_click(ui.resultsTree, item(ui, "Right kidney"))  # it is nowhere
    assert center(slice_node) == pytest.approx([0.0, 27.5, 122.5])
    ui.resultsTree.sortByColumn(1, Qt.DescendingOrder)
    ui.resultsTree.setCurrentItem(item(ui, "Liver"))
    press(ui.resultsTree, Qt.Key_Return)
    assert center(slice_node) == pytest.approx([27.5, 57.5, 247.5])


def test_structures_are_found_where_their_segmentation_was_moved_to(ui, view):
    slice_node, segmentation = add("Slice"), add("Segmentation")
    moved = np.array([[0.0, -1, 0, 7], [1, 0, 0, 0], [0, 0, 1, -100], [0, 0, 0, 1]])
    transform = add("LinearTransform")
    transform.SetMatrixTransformToParent(array_to_matrix(moved))
    view.show([made_report()], segmentation)
    segmentation.SetAndObserveTransformNodeID(transform.GetID())
    double_click(ui.resultsTree, item(ui, "Spleen"))
    assert center(slice_node) == pytest.approx([7 - 27.5, 0.0, 22.5])


def test_reports_of_older_versions_without_places_are_shown(ui, view):
    slice_node = add("Slice")
    report = made_report()
    for structure in report["structures"]:
        del structure["centroid_ras"]
    view.show([report])
    before = center(slice_node)
    double_click(ui.resultsTree, item(ui, "Spleen"))
    assert center(slice_node) == pytest.approx(before)


def test_table_is_shown_in_the_views(ui, view):
    layouts = slicer.app.layoutManager()
    layouts.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    table = add("Table")
    view.show([made_report()], add("Segmentation"), table)
    ui.showTableButton.click()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActiveTableID() == table.GetID()
    assert layouts.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView
    layouts.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayout3DTableView)
    ui.showTableButton.click()  # this layout has a table already
    assert layouts.layout == slicer.vtkMRMLLayoutNode.SlicerLayout3DTableView


def test_table_without_views_breaks_nothing(ui, view, monkeypatch):
    monkeypatch.setattr(type(slicer.app), "layoutManager", lambda self: None)
    table = add("Table")
    view.show([made_report()], tableNode=table)
    ui.showTableButton.click()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActiveTableID() == table.GetID()


def test_removed_table_cannot_be_shown(ui, view):
    table = add("Table")
    view.show([made_report()], tableNode=table)
    slicer.mrmlScene.RemoveNode(table)
    ui.showTableButton.click()
    assert not ui.showTableButton.enabled


def test_copied_report_says_how_and_what_but_not_who(ui, view):
    view.show([made_report()])
    assert slicer.app.clipboard().text() == "what was copied before"
    ui.copyReportButton.click()
    text = slicer.app.clipboard().text()
    copied = json.loads(text)
    assert copied["provenance"]["engine"] == "fake"
    assert copied["provenance"]["task"] == "total"
    assert [s["name"] for s in copied["structures"] if s["found"]] == ["Spleen", "Liver"]
    assert copied["warnings"] == [
        {"code": "input.no_orientation"},
        {"code": "result.implausible_volume", "message": NOTICES[1].message},
    ]
    assert "Muster" not in text and "abcdef" not in text


def test_what_the_engine_warns_of_is_shown_and_copied(ui, view):
    official = Notice("engine.official", "The official package was used: unknown plans.")
    view.show([made_report(notices=(*NOTICES, official))])
    assert f"Warning: {official.message}" in ui.resultsLabel.text
    ui.copyReportButton.click()
    copied = json.loads(slicer.app.clipboard().text())
    assert {"code": official.code, "message": official.message} in copied["warnings"]


def test_ways_of_computing_that_may_change_labels_are_named(ui, view):
    counts = "2 found, 2 not found, 1 at the border."
    view.show([made_report(notices=(), mode="exact", body_first=False)])
    assert ui.resultsLabel.text == counts
    view.show([made_report(notices=(), mode="compiled", body_first=True)])
    assert ui.resultsLabel.text.splitlines() == [
        counts,
        "The network was compiled.",
        "The image was cropped to the body first.",
    ]


def test_cleared_view_is_empty_again(ui, view):
    view.show([made_report()], add("Segmentation"), add("Table"))
    view.clear()
    assert ui.resultsLabel.text == ""
    assert items(ui) == []
    assert not ui.showTableButton.enabled
    assert not ui.copyReportButton.enabled


@pytest.fixture
def browser():
    """A browser with three frames of a segmentation."""
    sequence = add("Sequence")
    for value in ("0", "1", "2"):
        sequence.SetDataNodeAtValue(slicer.vtkMRMLSegmentationNode(), value)
    made = add("SequenceBrowser")
    made.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    made.SetSelectedItemNumber(1)
    slicer.vtkSlicerSequencesLogic().UpdateProxyNodesFromSequences(made)
    return made


def proxy(browser):
    return browser.GetProxyNode(browser.GetMasterSequenceNode())


def test_of_a_sequence_the_frame_of_the_browser_is_shown(ui, view, browser):
    reports = [made_report(notices=()), made_report(notices=(), label=2)]
    view.show(reports, proxy(browser), frames=(2, 3))
    assert ui.resultsLabel.text == "Frame 2: 2 found, 2 not found, 1 at the border."
    assert names(ui)[:2] == ["Spleen", "Liver"]
    browser.SetSelectedItemNumber(2)
    assert ui.resultsLabel.text.startswith("Frame 3: ")
    assert names(ui)[:2] == ["Right kidney", "Liver"]
    browser.SetSelectedItemNumber(0)
    assert ui.resultsLabel.text == "Frame 1: not segmented."
    assert items(ui) == []
    ui.copyReportButton.click()
    frames = json.loads(slicer.app.clipboard().text())["frames"]
    assert [frame["frame"] for frame in frames] == [2, 3]
    assert frames[1]["structures"][1]["found"]


def test_other_changes_of_the_browser_leave_the_selection(ui, view, browser):
    view.show([made_report()], proxy(browser), frames=(2,))
    ui.resultsTree.setCurrentItem(item(ui, "Liver"))
    browser.SetPlaybackRateFps(3.0)
    assert ui.resultsTree.currentItem().text(0) == "Liver"


def test_cleared_view_does_not_follow_the_browser(ui, view, browser):
    view.show([made_report()], proxy(browser), frames=(2,))
    observation = (browser, vtk.vtkCommand.ModifiedEvent, view._onBrowserModified)
    assert view.hasObserver(*observation)
    view.clear()
    assert not view.hasObserver(*observation)
    browser.SetSelectedItemNumber(2)
    browser.SetSelectedItemNumber(1)
    assert ui.resultsLabel.text == ""


def test_frames_without_a_browser_show_the_first(ui, view, browser):
    node = proxy(browser)
    slicer.mrmlScene.RemoveNode(browser)
    view.show([made_report(notices=()), made_report()], node, frames=(5, 6))
    assert ui.resultsLabel.text.startswith("Frame 5: 2 found")


def test_closed_scene_leaves_the_result_readable(ui, view, browser, host):
    view.show([made_report(notices=())], proxy(browser), add("Table"), frames=(2,))
    host.closeScene()
    double_click(ui.resultsTree, item(ui, "Spleen"))
    ui.showTableButton.click()
    assert names(ui)[:2] == ["Spleen", "Liver"]
