"""The models in the section Setup: the table, and what is done with what is selected."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import slicer
from panel_steps import error_text, finished, remedy_button
from qt_tree import tops

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment.findings import ERROR, OK, Finding
from TotalSegmentatorLib.environment.weights import WeightsEntry, entries
from TotalSegmentatorLib.errors import SetupError

WEIGHTS = "TotalSegmentatorLib.environment.weights"


class Disk:
    """Stands in for the models on the disk, and remembers what was done to them."""

    def __init__(self, found: tuple[WeightsEntry, ...]) -> None:
        self.entries = found
        self.done: list[tuple[str, list[str]]] = []

    def note(self, what: str, models) -> None:
        self.done.append((what, [model.folder for model in models]))

    def change(self, models, **changes: object) -> None:
        wanted = set(models)
        self.entries = tuple(
            dataclasses.replace(one, **changes) if one.model in wanted else one
            for one in self.entries
        )

    def obtain(self, models, folder, observer, way) -> None:
        self.note("obtain", models)
        observer.on_step(0.5, "Downloading the weights: 10 of 20 MB")
        self.change(models, state="present", verified=True, size_bytes=2 * 10**9)

    def remove(self, models, folder, observer) -> int:
        self.note("remove", models)
        self.change(models, state="missing")
        return 1

    def verify(self, folder, models, observer) -> tuple[Finding, ...]:
        self.note("verify", models)
        bad = Finding("weights.b", ERROR, "The weights b are damaged.", "Get them again.")
        return (Finding("weights.a", OK, "Good."), bad)[: len(models)]

    def import_weights(self, path, folder, observer) -> tuple[WeightsEntry, ...]:
        self.done.append(("import", [path.name]))
        return ()


@pytest.fixture
def disk(panel, tmp_path, monkeypatch) -> Disk:
    """A present, a damaged and a missing model, and one that needs a licence."""
    public = [e for e in entries(tmp_path) if not e.licensed][:3]
    licensed = next(entry for entry in entries(tmp_path) if entry.licensed)
    made = Disk((*public, licensed))
    made.change([public[0].model], state="present", verified=True, size_bytes=1_500_000_000)
    made.change([public[1].model], state="damaged")
    monkeypatch.setattr(f"{WEIGHTS}.entries", lambda folder: made.entries)
    for name in ("obtain", "remove", "verify", "import_weights"):
        monkeypatch.setattr(f"{WEIGHTS}.{name}", getattr(made, name))
    return made


@pytest.fixture
def table(panel, disk, host):
    """The panel with the table of models unfolded and filled."""
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.ui.weightsGroupBox.collapsed = False
    assert host.wait(lambda: panel.ui.weightsTree.topLevelItemCount == 4, 10)
    return panel


def select(panel, *states: str) -> list[str]:
    """Select the models in these states, and return the names of their folders."""
    panel.ui.weightsTree.clearSelection()
    names = []
    for item in tops(panel.ui.weightsTree):
        if item.text(3).startswith(states):
            item.setSelected(True)
            names.append(item.toolTip(0).split("</p>")[0].removeprefix("<p>"))
    return names


def states(panel) -> list[str]:
    return sorted(item.text(3) for item in tops(panel.ui.weightsTree))


def test_table_says_what_is_here(table):
    assert states(table) == ["damaged", "here, verified", "missing", "missing, needs a licence"]
    (present,) = [item for item in tops(table.ui.weightsTree) if item.text(3).startswith("here")]
    assert present.text(2) == "1500" and catalog.task("total").title in present.toolTip(1)
    assert "2 models are here" in table.ui.weightsLabel.text  # the damaged one takes space, too
    assert not present.text(0).startswith("Dataset") and "_" not in present.text(0)


def test_all_models_of_the_catalogue_are_listed(panel, host, tmp_path):
    panel.ui.weightsPathLineEdit.currentPath = str(tmp_path)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.ui.weightsGroupBox.collapsed = False
    count = len(entries(tmp_path))
    assert count > 60
    assert host.wait(lambda: panel.ui.weightsTree.topLevelItemCount == count, 10)
    assert {state.partition(",")[0] for state in states(panel)} == {"missing"}


def test_buttons_follow_the_selection(table):
    ui = table.ui

    def enabled() -> tuple[bool, ...]:
        buttons = (ui.downloadWeightsButton, ui.verifyWeightsButton, ui.removeWeightsButton)
        return tuple(button.enabled for button in buttons)

    assert enabled() == (False, False, False)
    select(table, "missing")
    assert enabled() == (True, False, False)
    select(table, "here")
    assert enabled() == (False, True, True)
    select(table, "damaged")
    assert enabled() == (True, True, True)


def test_selected_models_are_downloaded(table, disk, host):
    names = select(table, "damaged", "missing", "here")
    missing = [name for name in names if name != disk.entries[0].model.folder]
    table.ui.downloadWeightsButton.click()
    assert table.ui.applyButton.text == "&Cancel"
    assert finished(table, host)
    ((what, folders),) = disk.done
    assert what == "obtain" and sorted(folders) == sorted(missing)
    assert host.wait(lambda: set(states(table)) == {"here, verified"}, 10)
    assert len(table.ui.weightsTree.selectedItems()) == 4  # still
    assert "10 of 20 MB" in table.ui.logTextEdit.toPlainText()
    assert table.ui.statusLabel.text == "The models are downloaded."


def test_download_that_needs_a_licence(table, disk, host, monkeypatch):
    def obtain(*_):
        raise SetupError("licence.missing", "A licence number is needed.", "Store one.")

    monkeypatch.setattr(f"{WEIGHTS}.obtain", obtain)
    select(table, "missing, needs")
    table.ui.downloadWeightsButton.click()
    assert finished(table, host)
    assert "A licence number is needed." in error_text(table)
    remedy_button(table, "open_licence").click()
    assert table.ui.licenceLineEdit.isVisibleTo(table.parent)


def test_terms_are_accepted_before_a_download(panel, disk, host, tmp_path):
    disk.entries = tuple(entry for entry in entries(tmp_path) if entry.terms)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.ui.weightsGroupBox.collapsed = False
    assert host.wait(lambda: panel.ui.weightsTree.topLevelItemCount == len(disk.entries), 10)
    free, asking = "missing, Apache-2.0", "missing, non-commercial"
    assert set(states(panel)) == {free, asking}
    names = select(panel, asking)
    host.answer(0)
    panel.ui.downloadWeightsButton.click()
    assert not panel.busy and disk.done == []
    host.answer(1)
    panel.ui.downloadWeightsButton.click()
    assert finished(panel, host)
    assert disk.done == [("obtain", names)]
    others = select(panel, free)
    panel.ui.downloadWeightsButton.click()
    assert finished(panel, host)
    assert disk.done[1:] == [("obtain", others)] and len(host.dialogs) == 2


def test_models_are_verified(table, disk, host):
    select(table, "here")
    table.ui.verifyWeightsButton.click()
    assert finished(table, host)
    assert table.ui.statusLabel.text == "All 1 models are as they were published."
    select(table, "here", "damaged")
    table.ui.verifyWeightsButton.click()
    assert finished(table, host)
    assert "Of 2 models 1 are damaged" in table.ui.statusLabel.text
    assert "The weights b are damaged." in table.ui.logTextEdit.toPlainText()


def test_models_are_removed_after_a_question(table, disk, host, monkeypatch):
    questions, answers = [], [False, True]

    def confirm(text: str) -> bool:
        questions.append(text)
        return answers.pop(0)

    monkeypatch.setattr("TotalSegmentatorWidgets.WeightsView.confirm", confirm)
    names = select(table, "here")
    table.ui.removeWeightsButton.click()
    assert disk.done == [] and names[0] in questions[0]
    table.ui.removeWeightsButton.click()
    assert finished(table, host)
    assert disk.done == [("remove", names)]
    assert host.wait(lambda: "here, verified" not in states(table), 10)


def test_models_are_imported(table, disk, host):
    for button in (table.ui.importWeightsButton, table.ui.importFolderButton):
        disk.done.clear()
        host.answer("/somewhere/models.zip")
        button.click()
        assert finished(table, host)
        assert disk.done == [("import", ["models.zip"])]
        host.answer("")
        button.click()
        assert not table.busy


def test_folder_is_opened(table, host, tmp_path):
    table.ui.weightsPathLineEdit.currentPath = str(tmp_path)
    table.ui.openWeightsButton.click()
    assert host.openedUrls[-1].endswith(tmp_path.name)
    table.ui.weightsPathLineEdit.currentPath = str(tmp_path / "not made yet")
    table.ui.openWeightsButton.click()
    assert host.openedUrls[-1].endswith(tmp_path.name)


def test_folder_that_cannot_be_read_is_told_once(panel, disk, host, monkeypatch):
    def fail(folder):
        raise SetupError("weights.unreadable", "The weights cannot be read.", "Check it.")

    monkeypatch.setattr(f"{WEIGHTS}.entries", fail)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.ui.weightsGroupBox.collapsed = False
    assert host.wait(lambda: "cannot be read" in error_text(panel), 10)


def test_change_while_the_disk_is_looked_at_is_seen(panel, disk, host, monkeypatch):
    begun, released = threading.Event(), threading.Event()

    def look(folder) -> tuple[WeightsEntry, ...]:
        found = disk.entries
        begun.set()
        released.wait(5)
        return found

    monkeypatch.setattr(f"{WEIGHTS}.entries", look)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.ui.weightsGroupBox.collapsed = False
    assert begun.wait(5)
    disk.change([entry.model for entry in disk.entries], state="damaged")
    panel.setupView.refresh()
    released.set()
    assert host.wait(lambda: states(panel) == ["damaged"] * 4, 5)


def test_weights_folder_is_a_setting_of_this_computer(panel, tmp_path):
    from TotalSegmentatorLib.environment import load_settings

    panel.ui.weightsPathLineEdit.currentPath = str(tmp_path)
    assert load_settings().weights_folder == str(tmp_path)
    assert panel.logic.weightsFolder() == tmp_path
    node = panel._parameterNode.parameterNode
    assert str(tmp_path) not in str([node.GetParameter(n) for n in node.GetParameterNames()])
    assert slicer.app.settings().value("TotalSegmentator/WeightsFolder") is None
    panel.ui.weightsPathLineEdit.currentPath = ""
    assert load_settings().weights_folder == ""
