"""Licence, privacy, the check of this computer, and memory in the panel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import slicer
from panel_steps import apply, error_text, finished, remedy_button
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QWidget,
)

from TotalSegmentatorLib import remedies
from TotalSegmentatorLib.environment import licence, load_settings
from TotalSegmentatorLib.environment.findings import ERROR, OK, UNKNOWN, WARNING, Finding
from TotalSegmentatorLib.environment.hosts import all_purposes

NUMBER = "aca_ABCDEFGHIJKL12"
LICENCE = "TotalSegmentatorLib.environment.licence"


@pytest.fixture
def setup(panel, tmp_path, monkeypatch):
    """The panel with the section Setup unfolded, and no licence number stored."""
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "official"))
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.setupView.refresh()
    return panel


READERS = {
    QWidget: QWidget.toolTip,
    QLabel: QLabel.text,
    QLineEdit: QLineEdit.text,
    QAbstractButton: QAbstractButton.text,
    QPlainTextEdit: QPlainTextEdit.toPlainText,
    QComboBox: QComboBox.currentText,
}


def texts(panel) -> str:
    """Whatever a person could read in the panel."""
    widgets = panel.parent.findChildren(QWidget)
    return "\n".join(
        read(one) for one in widgets for kind, read in READERS.items() if isinstance(one, kind)
    )


def enter(panel, number: str = NUMBER) -> None:
    panel.ui.licenceLineEdit.text = f" {number} "
    panel.ui.licenceButton.click()


def stored(tmp_path: Path) -> str:
    path = tmp_path / "official" / "config.json"
    return json.loads(path.read_text()).get("license_number", "") if path.exists() else ""


def test_number_is_stored_and_shown_in_part(setup, host, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(f"{LICENCE}._ask", lambda number: licence.VALID)
    ui = setup.ui
    assert ui.licenceLabel.text == "None stored." and not ui.licenceButton.enabled
    assert not ui.checkLicenceButton.enabled and not ui.removeLicenceButton.enabled
    caplog.set_level("DEBUG")
    enter(setup)
    assert ui.licenceLineEdit.text == ""
    assert host.wait(lambda: "Valid" in ui.licenceLabel.text, 5)
    assert stored(tmp_path) == NUMBER
    assert ui.licenceLabel.text == "Valid: aca_...12."
    settings = "".join(str(slicer.app.settings().value(k)) for k in slicer.app.settings().allKeys())
    kept = "".join(path.read_text() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for place in (texts(setup), caplog.text, settings, kept):
        assert NUMBER not in place and "GHIJKL" not in place


def test_number_that_is_not_valid_is_not_stored(setup, host, tmp_path, monkeypatch):
    for state, sentence in (
        (licence.INVALID, "was not accepted"),
        (licence.EXPIRED, "has expired"),
    ):
        monkeypatch.setattr(f"{LICENCE}._ask", lambda number, answer=state: answer)
        enter(setup)
        assert host.wait(lambda text=sentence: text in error_text(setup), 5)
        assert stored(tmp_path) == "" and NUMBER not in texts(setup)


def test_number_is_stored_unchecked_if_the_user_wants(setup, host, tmp_path, monkeypatch):
    questions, answers = [], [False, True]

    def confirm(text: str) -> bool:
        questions.append(text)
        return answers.pop(0)

    monkeypatch.setattr("TotalSegmentatorWidgets.LicenceView.confirm", confirm)
    monkeypatch.setattr(f"{LICENCE}._ask", lambda number: licence.OFFLINE)
    enter(setup)
    assert host.wait(lambda: questions, 5)
    host.pump()
    assert stored(tmp_path) == ""
    enter(setup)
    assert host.wait(lambda: stored(tmp_path), 5)
    assert stored(tmp_path) == NUMBER
    assert NUMBER not in "".join(questions) + texts(setup) and error_text(setup) == ""


def test_number_is_checked_and_removed(setup, host, tmp_path, monkeypatch):
    licence.store_licence(NUMBER, {"TOTALSEG_HOME_DIR": str(tmp_path / "official")}, unchecked=True)
    setup.setupView.refresh()
    assert "not checked" in setup.ui.licenceLabel.text
    monkeypatch.setattr(f"{LICENCE}._ask", lambda number: licence.EXPIRED)
    setup.ui.checkLicenceButton.click()
    assert host.wait(lambda: "Expired" in setup.ui.licenceLabel.text, 5)
    answers = [False, True]
    monkeypatch.setattr("TotalSegmentatorWidgets.LicenceView.confirm", lambda _: answers.pop(0))
    setup.ui.removeLicenceButton.click()
    assert stored(tmp_path) == NUMBER
    setup.ui.removeLicenceButton.click()
    assert stored(tmp_path) == "" and setup.ui.licenceLabel.text == "None stored."


def test_statistics_are_off_until_somebody_switches_them_on(setup):
    box = setup.ui.statisticsCheckBox
    assert not box.checked and "never an image" in box.toolTip
    assert not setup.logic._settings(False).usage_statistics
    box.click()
    assert load_settings().usage_statistics and setup.logic._settings(False).usage_statistics
    box.click()
    assert not load_settings().usage_statistics


def test_switch_that_cannot_be_stored_goes_back(setup, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))  # below which no folder can be
    setup.ui.statisticsCheckBox.click()
    assert not setup.ui.statisticsCheckBox.checked
    assert "settings.json cannot be written" in error_text(setup)


def test_hosts_are_listed(setup, host):
    shown = []

    def read(dialog) -> int:
        shown.append(slicer.util.findChild(dialog, "textField").plainText)
        return 1

    host.answer(read)
    setup.ui.hostsButton.click()
    for purpose in all_purposes():
        assert purpose.sentence in shown[0]
        assert all(name in shown[0] for name in purpose.hosts)


FINDINGS = (
    Finding("memory", OK, "The computer has 24 GB of memory."),
    Finding("gpu", UNKNOWN, "It is not known whether there is a GPU."),
    Finding("licence", WARNING, "The licence has expired.", "Renew it.", remedies.OPEN_LICENCE),
    Finding("disk", ERROR, "The disk <C> is full.", "Free some space in /home/me/x.nii."),
)


def rows(panel) -> list[str]:
    labels = panel.ui.findingsWidget.findChildren(QLabel)
    return [QLabel.text(one) for one in labels if QLabel.text(one)]


def test_computer_is_checked_and_the_worst_comes_first(setup, host, monkeypatch):
    asked = []

    def diagnose(*arguments, **options):
        asked.append(options)
        return iter(FINDINGS)

    monkeypatch.setattr("TotalSegmentatorWidgets.SetupLogic.diagnose", diagnose)
    assert not setup.ui.findingsWidget.isVisibleTo(setup.parent)
    assert not setup.ui.copyFindingsButton.enabled
    setup.ui.doctorButton.click()
    assert not setup.ui.doctorButton.enabled and not setup.busy
    assert host.wait(lambda: setup.ui.doctorButton.enabled, 5)
    host.pump()
    assert rows(setup) == [
        "<p><b>The disk &lt;C&gt; is full.</b> Free some space in /home/me/x.nii.</p>",
        "<p><b>The licence has expired.</b> Renew it.</p>",
        "<p>It is not known whether there is a GPU. </p>",
        "<p>The computer has 24 GB of memory. </p>",
    ]
    setup.ui.copyFindingsButton.click()
    copied = slicer.app.clipboard().text()
    assert "error: The disk <C> is full." in copied and "Versions: " in copied
    assert "/home/me" not in copied
    assert "other_modules" in asked[0]
    assert asked[0]["weights"] == setup.logic.weightsFolder()
    slicer.util.findChild(setup.ui.findingsWidget, "licenceButton").click()
    assert setup.ui.licenceLineEdit.hasFocus() or setup.ui.licenceLineEdit.isVisibleTo(setup.parent)


def test_findings_lead_to_the_installation(setup, host, monkeypatch):
    repairs = {"packages": remedies.REINSTALL_ENGINE, "torch": remedies.CHOOSE_BUILD}
    findings = [Finding(check, ERROR, "Bad.", "Install.", one) for check, one in repairs.items()]
    monkeypatch.setattr("TotalSegmentatorWidgets.SetupLogic.diagnose", lambda *_, **__: findings)
    calls = []
    monkeypatch.setattr(
        "TotalSegmentatorWidgets.ConsentDialog.ConsentDialog.ask", lambda self: calls.append(self)
    )
    setup.ui.doctorButton.click()
    assert host.wait(lambda: setup.ui.doctorButton.enabled, 5)
    for check in repairs:
        slicer.util.findChild(setup.ui.findingsWidget, f"{check}Button").click()
    assert len(calls) == 2


def test_damaged_models_lead_to_the_table(setup, host, monkeypatch):
    bad = Finding("weights", WARNING, "Damaged models.", "", remedies.DOWNLOAD_WEIGHTS)
    monkeypatch.setattr("TotalSegmentatorWidgets.SetupLogic.diagnose", lambda *_, **__: [bad])
    setup.ui.doctorButton.click()
    assert host.wait(lambda: setup.ui.doctorButton.enabled, 5)
    slicer.util.findChild(setup.ui.findingsWidget, "weightsButton").click()
    assert not setup.ui.weightsGroupBox.collapsed
    assert host.wait(lambda: setup.ui.weightsTree.topLevelItemCount > 60, 10)


def test_falling_back_is_a_setting_of_this_computer(panel, host, module):
    box = panel.ui.fallBackCheckBox
    assert not box.checked and not panel.logic._settings(False).fall_back
    box.click()
    assert panel.logic._settings(False).fall_back
    assert slicer.util.settingsValue(
        "TotalSegmentator/FallBack", False, converter=slicer.util.toBool
    )


def test_run_that_will_not_fit_can_be_insisted_on(quickPanel, volume, host, quick, monkeypatch):
    from TotalSegmentatorLib.errors import SetupError
    from TotalSegmentatorLib.memory_guard import MemoryGuard

    insisted = []

    def check(guard, runs, insist=False):
        insisted.append(insist)
        if not insist:
            raise SetupError("memory.will_not_fit", "This needs about 900 GB of memory.")
        return ()

    monkeypatch.setattr(MemoryGuard, "check", check)
    apply(quickPanel, host)
    assert "This needs about 900 GB of memory." in error_text(quickPanel)
    assert quick.requests == []
    remedy_button(quickPanel, "run_anyway").click()
    assert finished(quickPanel, host)
    assert error_text(quickPanel) == "" and len(quick.requests) == 1
    assert insisted == [False, True]
