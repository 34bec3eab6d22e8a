"""The API check finds what the real application would not understand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import small_module

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Host"))

from slicerhost import api_check
from slicerhost.recorded_api import DATA, recorded_class


def messages(tmp_path: Path, code: str = "", ui: str = "") -> list[str]:
    """Return the findings of code inside a widget's method, and of a .ui file."""
    python, form = tmp_path / "Module.py", tmp_path / "Module.ui"
    python.write_text(code, encoding="utf-8")
    form.write_text(ui or small_module.UI, encoding="utf-8")
    return [finding.message for finding in api_check.check(python, form)]


def test_the_recording_is_small_and_knows_inheritance() -> None:
    assert DATA.stat().st_size < 150_000
    button = recorded_class("ctkMenuButton")
    assert button.has("enabled")
    assert button.writable("toolTip")
    assert "clicked(bool)" in button.signals
    assert not button.writable("width")
    assert recorded_class("QNothing") is None


def test_the_panel_and_its_parts_are_clean() -> None:
    folder = Path(__file__).resolve().parents[3] / "TotalSegmentator"
    ui = folder / "Resources" / "UI" / "TotalSegmentator.ui"
    parts = sorted((folder / "TotalSegmentatorWidgets").glob("*.py"))
    assert len(parts) > 1
    assert api_check.check(folder / "TotalSegmentator.py", ui) == []
    assert api_check.check_widgets(parts, ui) == []


def test_the_small_module_is_clean(tmp_path: Path) -> None:
    path = small_module.write(tmp_path)
    ui = tmp_path / "Resources" / "UI" / "SmallModule.ui"
    assert api_check.check(path, ui) == []
    assert api_check.main([str(path), str(ui)]) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("self.ui.applyButton.enabledd = True", "QPushButton has no 'enabledd'"),
        ("self.ui.aplyButton.enabled = True", "the .ui file has no widget 'aplyButton'"),
        ("self.ui.taskBox.count = 3", "'count' of QComboBox cannot be assigned"),
        ("self.ui.applyButton.connect('clickd()', f)", "QPushButton has no signal clickd()"),
        ("self.ui.applyButton.text.connect(f)", "'text' of QPushButton is not a signal"),
        ("self.ui.cpuCheckBox.checkStateChanged.connect(f)", "has no 'checkStateChanged'"),
        ("self.ui.log.appendText('x')", "QPlainTextEdit has no 'appendText'"),
        ("qt.QMessageBox.Okay", "QMessageBox has no 'Okay'"),
        ("qt.QNothing()", "class qt.QNothing is not in the recorded API"),
        ("timer = qt.QTimer()\ntimer.begin()", "QTimer has no 'begin'"),
        ("self.p = qt.QProcess()\nself.p.startCommand('x')", "QProcess has no 'startCommand'"),
        ("slicer.app.nothing()", "QApplication has no 'nothing'"),
        ("self.ui.taskBox.count()", "'count' of QComboBox is a property, not to be called"),
        ("item = qt.QTreeWidgetItem()\nitem.hidden = True", "QTreeWidgetItem has no 'hidden'"),
        ("slicer.app.clipboard().paste()", "QClipboard has no 'paste'"),
        ("qt.QShortcut(k, w).connect('pressed()', f)", "QShortcut has no signal pressed()"),
        ("qt.QEventLoop()", "class qt.QEventLoop is not in the recorded API"),
    ],
)
def test_code_that_the_application_would_refuse(tmp_path: Path, line: str, message: str) -> None:
    found = messages(tmp_path, line)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "self.ui.applyButton.enabled = True",
        "self.ui.applyButton.connect('clicked( bool )', f)",
        "self.ui.inputSelector.connect('currentNodeChanged(vtkMRMLNode*)', f)",
        "qt.QTimer.singleShot(0, f)",
        "qt.Qt.WaitCursor",
        "slicer.app.testingEnabled()",
        "box = qt.QMessageBox()\nbox.exec_() == qt.QMessageBox.Ok",
        "x = qt.QLabel()\nx = object()\nx.anything",
        "x = object()\nx = qt.QLabel()\nx.anything",
        "slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)",
        "qt.QShortcut(k, w).connect('activated()', f)",
        "slicer.app.palette().color(qt.QPalette.Window)",
        "def f():\n    x = qt.QLabel()\ndef g(x):\n    x.anything",
        "x = None\nx = qt.QTreeWidget()\nx.topLevelItem(0).setHidden(True)",
    ],
)
def test_code_that_the_application_takes(tmp_path: Path, line: str) -> None:
    assert messages(tmp_path, line) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('class="QProgressBar"', 'class="QProgresBar"', "class QProgresBar is not in the recorded"),
        ('name="readOnly"', 'name="readonly"', "QPlainTextEdit has no property 'readonly'"),
        ("<string>cpu</string>", "<string>gpu</string>", "'gpu' is not a parameter"),
        ('name="SlicerParameterName" stdset="0"', 'name="note" stdset="0"', "'note' means nothing"),
        ("mrmlSceneChanged(vtkMRMLScene*)", "sceneChanged()", "has no signal sceneChanged()"),
        ("setMRMLScene(vtkMRMLScene*)", "setScene()", "has no slot setScene()"),
        ("<receiver>inputSelector", "<receiver>outputSelector", "unknown widget 'outputSelector'"),
    ],
)
def test_ui_files_that_the_application_would_refuse(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in small_module.UI
    found = messages(tmp_path, small_module.CODE, small_module.UI.replace(old, new))
    assert any(message in text for text in found)


def test_findings_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "Module.py"
    path.write_text("import qt\n\nqt.QNothing()\n", encoding="utf-8")
    assert str(api_check.check(path)[0]).startswith("Module.py:3: ")
    assert api_check.main([str(path)]) == 1


WIDGETS = """
import qt
import slicer


class Picker:
    def __init__(self, ui, tree: qt.QTreeWidget, bar: "qt.QProgressBar | None" = None):
        self._ui = ui
        self._box = ui.taskBox
        self._tree = tree
        self._bar = bar
        self._rows = [tree.topLevelItem(i) for i in range(tree.topLevelItemCount)]
        self._first = self._tree.topLevelItem(0)
        self._ui.applyButton.connect("clicked()", self.apply)
        {line}

    def apply(self):
        self._timer = qt.QTimer()


class Other:
    def __init__(self, ui):
        self._box = ui.noteEdit
        self._box.text = "another class may give the name to another widget"
"""


def widget_messages(tmp_path: Path, line: str) -> list[str]:
    form, python = tmp_path / "Module.ui", tmp_path / "Picker.py"
    form.write_text(small_module.UI, encoding="utf-8")
    python.write_text(WIDGETS.format(line=line), encoding="utf-8")
    return [finding.message for finding in api_check.check_widgets([python], form)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("self._ui.aplyButton", "the .ui file has no widget 'aplyButton'"),
        ("self._box.currentTxt", "QComboBox has no 'currentTxt'"),
        ("self._box.connect('currentIndexChanged()', f)", "has no signal currentIndexChanged()"),
        ("tree.connect('itemChanged(QTreeWidgetItem*)', f)", "QTreeWidget has no signal"),
        ("self._tree.topLevelItemCount()", "is a property, not to be called"),
        ("self._tree.currentItem().text = 'x'", "'text' of QTreeWidgetItem cannot be assigned"),
        ("self._first.child(0).checked", "QTreeWidgetItem has no 'checked'"),
        ("self._bar.percent = 3", "QProgressBar has no 'percent'"),
        ("self._timer.stopp()", "QTimer has no 'stopp'"),
        ("label = ui.inputLabel\n        label.txt", "QLabel has no 'txt'"),
    ],
)
def test_parts_of_the_panel_that_the_application_would_refuse(
    tmp_path: Path, line: str, message: str
) -> None:
    found = widget_messages(tmp_path, line)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "pass",
        "self._box.currentData",
        "self._tree.connect('itemChanged(QTreeWidgetItem*,int)', f)",
        "self._first.setCheckState(0, qt.Qt.Checked)",
        "self._rows.anything",
        "tree = self.anything()\n        tree.anything",
    ],
)
def test_parts_of_the_panel_that_the_application_takes(tmp_path: Path, line: str) -> None:
    assert widget_messages(tmp_path, line) == []
