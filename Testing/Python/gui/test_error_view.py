"""What people see of an error, what they can click, and what the copied details leave out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import slicer
from panel_parts import Calls, panel_ui
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QPushButton

import TotalSegmentatorLib
from TotalSegmentatorLib import remedies
from TotalSegmentatorLib.errors import SetupError, internal_error
from TotalSegmentatorLib.remedies import Remedy

ERROR = SetupError(
    "gpu.out_of_memory",
    "The GPU's memory is full: 1 < 2 GB.",
    "Use fast & small.",
    "allocation of 3 GB failed",
)
ACTIONS = [value for name, value in vars(remedies).items() if name.isupper() and name[0] != "_"]


@pytest.fixture
def ui(host):
    slicer.app.clipboard().setText("what was copied before")
    with panel_ui(host) as loaded:
        yield loaded


@pytest.fixture
def clicked():
    return Calls()


@pytest.fixture
def view(ui, clicked):
    from TotalSegmentatorWidgets.ErrorView import ErrorView

    return ErrorView(ui, clicked)


def shown_text(ui) -> str:
    document = QTextDocument()
    document.setHtml(ui.errorLabel.text)
    return document.toPlainText()


def buttons(ui, host) -> list:
    host.pump()  # those of the error before are deleted
    return [b for b in ui.remediesWidget.findChildren(QPushButton) if b.isVisibleTo(ui.panel)]


def clipboard() -> str:
    return slicer.app.clipboard().text()


def report(error, private=()) -> str:
    from TotalSegmentatorWidgets.ErrorView import errorReport

    return errorReport(error, private)


def test_nothing_is_shown_before_an_error(ui, view, host):
    assert not ui.errorFrame.isVisibleTo(ui.panel)
    assert buttons(ui, host) == []


def test_message_and_remedy_are_shown_as_they_are_written(ui, view, host):
    view.show(ERROR)
    assert ui.errorFrame.isVisibleTo(ui.panel)
    assert shown_text(ui) == "The GPU's memory is full: 1 < 2 GB. Use fast & small."
    assert "<b>The GPU's" in ui.errorLabel.text
    assert "color" not in ui.errorLabel.text  # it is that of the theme
    assert not ui.remediesWidget.isVisibleTo(ui.panel)


def test_remedies_are_buttons_in_their_order(ui, view, clicked, host):
    found = remedies.remedies(
        "gpu.out_of_memory",
        speeds=("normal", "fast", "fastest"),
        speed="normal",
    )
    parts = Remedy("change_options", "in three parts", {"force_split": True})
    view.show(ERROR, [*found, parts])
    texts = [button.text for button in buttons(ui, host)]
    assert texts == ["Use fast", "Choose a region", "Retry on the CPU", "Use less memory"]
    assert buttons(ui, host)[-1].toolTip == "Run in three parts."
    places = [(button.y, button.x) for button in buttons(ui, host)]
    assert places == sorted(places)
    assert clicked == []
    buttons(ui, host)[0].click()
    assert clicked == [(Remedy("use_faster_speed", "fast"),)]
    assert not ui.errorFrame.isVisibleTo(ui.panel)


def test_every_action_has_a_title(ui, view, host):
    assert len(ACTIONS) >= 8
    view.show(ERROR, [Remedy(action) for action in ACTIONS])
    texts = [button.text for button in buttons(ui, host)]
    assert len(set(texts)) == len(ACTIONS)
    view.show(ERROR, [Remedy("use_faster_speed", "fastest")])
    assert [button.text for button in buttons(ui, host)] == ["Use fastest"]


def test_next_error_replaces_the_one_before(ui, view, host):
    view.show(ERROR, [Remedy("retry")])
    view.show(SetupError("disk.full", "The disk is full.", ""), [Remedy("open_setup")])
    assert shown_text(ui) == "The disk is full."
    assert [button.text for button in buttons(ui, host)] == ["Open setup"]


def test_a_remedy_that_fails_at_once_shows_its_error(ui, host):
    from TotalSegmentatorWidgets.ErrorView import ErrorView

    second = SetupError("disk.full", "The disk is full.")
    view = ErrorView(ui, lambda remedy: view.show(second, [Remedy("retry")]))
    view.show(ERROR, [Remedy("retry")])
    buttons(ui, host)[0].click()
    assert ui.errorFrame.isVisibleTo(ui.panel)
    assert shown_text(ui) == "The disk is full."
    assert [button.text for button in buttons(ui, host)] == ["Try again"]


def test_error_can_be_dismissed(ui, view, clicked, host):
    view.show(ERROR, [Remedy("retry")])
    ui.dismissErrorButton.click()
    assert not ui.errorFrame.isVisibleTo(ui.panel)
    assert buttons(ui, host) == []
    assert clicked == []


def test_details_are_copied_with_code_and_versions(ui, view):
    view.show(ERROR)
    assert clipboard() == "what was copied before"
    ui.copyDetailsButton.click()
    lines = clipboard().splitlines()
    assert lines[0] == "The GPU's memory is full: 1 < 2 GB. Use fast & small."
    assert lines[1] == "Code: gpu.out_of_memory"
    assert f"TotalSegmentator extension {TotalSegmentatorLib.__version__}" in lines[2]
    assert "Python 3." in lines[2]
    assert lines[3:] == ["Details:", "allocation of 3 GB failed"]
    assert ui.errorFrame.isVisibleTo(ui.panel)


def test_copied_details_say_which_slicer_it_was(host):
    slicer.app.applicationVersion = "5.13.0-2026-08-21"
    try:
        assert "Slicer 5.13.0-2026-08-21" in report(ERROR)
    finally:
        slicer.app.applicationVersion = ""


def test_dismissed_error_is_not_copied_any_more(ui, view):
    view.show(ERROR)
    view.hide()
    ui.copyDetailsButton.click()
    assert clipboard() == "what was copied before"


@pytest.mark.parametrize(
    "details",
    [
        f"cannot read {Path.home()}/scans/muster.nii.gz",
        f"cannot read {tempfile.gettempdir()}/muster-x1/image.nii.gz, size 3",
        "cannot read '/data/Max Muster/ct 1.nii.gz' twice",
        "cannot read /data/Max Muster/ct of Muster.nii.gz twice",
        "cannot read /data/ct of Muster.nii twice",
        "cannot read /data/Muster",
        "file:///data/Muster/ct.nii",
        r"cannot read C:\Users\Max Muster\AppData\x.nii.gz",
        r'cannot read "D:\Scans\Muster Max.nrrd"',
        r"cannot read \\server\share\Muster\ct.dcm",
        "path=C:/Users/Muster/x.nii",
        "['/data/Muster/a.dcm', '/data/Muster/b.dcm']",
        "image ~/Muster/a.nii",
    ],
)
def test_copied_details_have_no_paths(host, details):
    text = report(SetupError("x.y", "Failed.", "", details))
    assert "uster" not in text
    assert "<path>" in text


def test_copied_details_keep_what_helps(host):
    details = (
        'File "/home/muster/Slicer/TotalSegmentatorLib/engines/worker.py", line 12, in run\n'
        "step 3/4 of 1/2, see https://github.com/wasserth/TotalSegmentator/issues\n"
        "TypeError: and/or a ratio of 1:2"
    )
    text = report(SetupError("x.y", "Failed.", "", details))
    assert 'File ".../worker.py", line 12, in run' in text
    assert "step 3/4 of 1/2, see https://github.com/wasserth/TotalSegmentator/issues" in text
    assert "TypeError: and/or a ratio of 1:2" in text
    assert "muster" not in text


def test_a_real_traceback_keeps_its_lines(host):
    try:
        int("no number")
    except ValueError as error:
        text = report(internal_error(error))
    assert 'test_error_view.py", line' in text
    assert "invalid literal for int()" in text
    assert str(Path(__file__).parent) not in text


def test_names_that_say_who_it_is_are_left_out(ui, view):
    error = SetupError("input.empty", "MUSTER^MAX is empty.", "", "volume MUSTER^MAX (CT), MUSTERS")
    view.show(error, private=["MUSTER^MAX", "", "MUSTER"])
    assert "MUSTER^MAX" in shown_text(ui)  # whoever looks at it may know
    ui.copyDetailsButton.click()
    assert "MUSTER^MAX" not in clipboard()
    assert "<name> is empty." in clipboard()
    assert "volume <name> (CT), MUSTERS" in clipboard()
