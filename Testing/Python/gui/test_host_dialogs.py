"""Modal dialogs in the host: recorded, and answered by the test instead of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import qt
    from slicerhost.host import Host


def test_message_boxes_are_skipped_in_testing_mode(host: Host) -> None:
    import slicer

    assert slicer.app.testingEnabled()
    slicer.util.errorDisplay("Nothing to see")
    # The application answers False here although its documentation says True.
    assert slicer.util.confirmOkCancelDisplay("Go on?") is False
    assert host.dialogs == []


def test_message_boxes_are_answered_outside_testing_mode(host: Host) -> None:
    import qt
    import slicer

    host.setTesting(False)
    host.answer(qt.QMessageBox.Yes, qt.QMessageBox.Cancel, qt.QMessageBox.Ok)
    assert slicer.util.confirmYesNoDisplay("Install?") is True
    assert slicer.util.confirmOkCancelDisplay("Go on?") is False
    slicer.util.errorDisplay("Failed", detailedText="why")
    assert [(shown.kind, shown.text) for shown in host.dialogs] == [
        ("ctkMessageBox", "Install?"),
        ("ctkMessageBox", "Go on?"),
        ("ctkMessageBox", "Failed"),
    ]
    assert host.dialogs[2].details == "why"


def test_a_dialog_without_an_answer_fails_instead_of_hanging(host: Host) -> None:
    import qt
    from slicerhost.pythonqt.dialogs import UnansweredDialogError

    with pytest.raises(UnansweredDialogError, match="no answer was prepared"):
        qt.QMessageBox().exec_()
    host.answer(qt.QMessageBox.Yes)
    with pytest.raises(UnansweredDialogError, match="has no button"):
        qt.QMessageBox().exec_()


def test_buttons_of_ones_own(host: Host) -> None:
    import qt

    box = qt.QMessageBox()
    box.text = "Replace?"
    replace = box.addButton("Replace", qt.QMessageBox.AcceptRole)
    box.addButton(qt.QMessageBox.Cancel)
    host.answer("Replace")
    box.exec_()
    assert box.clickedButton() is replace


def test_a_message_box_remembers_not_to_ask_again(host: Host) -> None:
    import qt
    import slicer

    def tick(dialog: qt.QMessageBox) -> int:
        dialog.dontShowAgain = True
        return qt.QMessageBox.Ok

    host.setTesting(False)
    host.answer(tick)
    for _ in range(2):
        slicer.util.infoDisplay("Once", dontShowAgainSettingsKey="Small/DontShowOnce")
    assert len(host.dialogs) == 1


def test_static_dialogs(host: Host) -> None:
    import qt

    host.answer(qt.QMessageBox.No, "/data/ct.nii.gz", "key")
    assert qt.QMessageBox.question(None, "Title", "Sure?") == qt.QMessageBox.No
    assert qt.QFileDialog.getOpenFileName(None, "Open") == "/data/ct.nii.gz"
    assert qt.QInputDialog.getText(None, "Licence", "Key:") == "key"
    assert [shown.kind for shown in host.dialogs] == [
        "QMessageBox.question",
        "QFileDialog.getOpenFileName",
        "QInputDialog.getText",
    ]
