"""The list of what runs and what waits."""

from __future__ import annotations

import pytest
from panel_parts import Calls, panel_ui, press
from PySide6.QtCore import Qt


@pytest.fixture
def ui(host):
    with panel_ui(host) as loaded:
        yield loaded


@pytest.fixture
def removed():
    return Calls()


@pytest.fixture
def cancelled():
    return Calls()


@pytest.fixture
def view(ui, removed, cancelled):
    from TotalSegmentatorWidgets.QueueView import QueueView

    return QueueView(ui, removed, cancelled)


def entry(key: str, state: str, message: str = ""):
    from TotalSegmentatorWidgets.QueueView import QueueEntry

    return QueueEntry(key, f"CT {key}", state, message)


def lines(ui) -> list[str]:
    return [ui.queueList.item(row).text() for row in range(ui.queueList.count)]


def is_shown(ui) -> bool:
    return ui.queueFrame.isVisibleTo(ui.panel)


def test_a_single_run_shows_no_queue(ui, view):
    assert not is_shown(ui)
    view.show([entry("a", "running")])
    assert not is_shown(ui)
    view.show([entry("a", "done")])
    assert not is_shown(ui)
    view.show([entry("a", "waiting")])
    assert is_shown(ui)
    view.show([])
    assert not is_shown(ui)


def test_states_are_words(ui, view):
    view.show(
        [
            entry("a", "done"),
            entry("b", "failed", "The image is empty."),
            entry("c", "cancelled"),
            entry("d", "running"),
            entry("e", "waiting"),
        ]
    )
    assert is_shown(ui)
    assert lines(ui) == [
        "CT a: done",
        "CT b: failed (The image is empty.)",
        "CT c: cancelled",
        "CT d: running",
        "CT e: waiting",
    ]
    assert ui.queueList.item(1).toolTip() == "The image is empty."
    assert ui.cancelAllButton.enabled


def test_only_what_waits_can_be_removed(ui, view, removed):
    view.show([entry("a", "running"), entry("b", "waiting")])
    assert not ui.removeFromQueueButton.enabled  # nothing is selected
    ui.queueList.currentRow = 0
    assert not ui.removeFromQueueButton.enabled
    ui.queueList.currentRow = 1
    assert ui.removeFromQueueButton.enabled
    assert removed == []
    ui.removeFromQueueButton.click()
    assert removed == [("b",)]


def test_delete_key_removes_what_is_selected(ui, view, removed):
    view.show([entry("a", "running"), entry("b", "waiting")])
    ui.queueList.currentRow = 1
    press(ui.queueList, Qt.Key_Delete)
    assert removed == [("b",)]
    ui.queueList.currentRow = 0
    press(ui.queueList, Qt.Key_Delete)  # it runs
    assert removed == [("b",)]


def test_delete_key_elsewhere_removes_nothing(ui, view, removed):
    view.show([entry("a", "running"), entry("b", "waiting")])
    ui.queueList.currentRow = 1
    press(ui.cancelAllButton, Qt.Key_Delete)
    assert removed == []


def test_selection_follows_its_entry(ui, view, removed, cancelled):
    view.show([entry("a", "running"), entry("b", "waiting"), entry("c", "waiting")])
    ui.queueList.currentRow = 2
    view.show([entry("a", "done"), entry("c", "waiting")])
    assert ui.queueList.currentRow == 1
    assert ui.removeFromQueueButton.enabled
    view.show([entry("a", "done"), entry("c", "running")])  # its turn has come
    assert not ui.removeFromQueueButton.enabled
    view.show([entry("a", "done"), entry("d", "waiting")])  # the selected one has gone
    assert not ui.removeFromQueueButton.enabled
    assert removed == [] and cancelled == []


def test_all_can_be_cancelled_while_something_goes_on(ui, view, cancelled):
    view.show([entry("a", "done"), entry("b", "failed")])
    assert is_shown(ui)
    assert not ui.cancelAllButton.enabled
    view.show([entry("a", "done"), entry("b", "running")])
    ui.cancelAllButton.click()
    assert cancelled == [()]


def test_entries_of_a_real_queue_can_be_shown(ui, view):
    from TotalSegmentatorWidgets.QueueView import QueueEntry

    from TotalSegmentatorLib.jobs.queue import State

    view.show([QueueEntry(state, "CT", state.value) for state in State])
    assert len(lines(ui)) == len(State)
