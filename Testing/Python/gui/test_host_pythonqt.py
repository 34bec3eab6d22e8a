"""The host's `qt` and `ctk` behave as PythonQt was seen to behave in the application."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slicerhost.host import Host


def test_unknown_attributes_raise(host: Host) -> None:
    import qt

    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="'enabledd' does not exist on QPushButton"):
        button.enabledd = True
    with pytest.raises(AttributeError):
        _ = button.enabledd
    with pytest.raises(AttributeError, match="not writable"):
        qt.QComboBox().count = 3

    class Own(qt.QWidget):
        """A Python class may have attributes of its own."""

    own = Own()
    own.anything = 1
    assert own.anything == 1

    class Early(qt.QWidget):
        """Python may begin before Qt does."""

        def __init__(self) -> None:
            self._early = 1
            super().__init__()

    assert Early()._early == 1


def test_a_deleted_object_raises(host: Host) -> None:
    import qt

    button = qt.QPushButton()
    button.deleteLater()
    host.pump()
    with pytest.raises(ValueError, match="destroyed QPushButton"):
        button.hide()


def test_properties_convert_what_qt_can_convert(host: Host) -> None:
    import qt

    button = qt.QPushButton()
    button.text = 5
    assert button.text == "5"
    button.setText(3)
    assert button.text == "3"
    button.checkable = True
    button.checked = "x"
    assert button.checked is True
    bar = qt.QProgressBar()
    bar.setValue(41.7)
    assert bar.value == 41
    label = qt.QLabel()
    label.alignment = qt.Qt.AlignRight
    assert label.alignment == qt.Qt.AlignRight
    with pytest.raises(AttributeError, match="does not accept an object of type str"):
        qt.QComboBox().currentIndex = "a"


def test_connect_answers_false_for_an_unknown_signal(host: Host) -> None:
    import qt
    import slicer

    button = qt.QPushButton()
    assert button.connect("clickd()", print) is False
    assert button.connect("clicked()", print) is True
    assert qt.QTimer().connect("timeout()", print) is True
    selector = slicer.qMRMLNodeComboBox()
    assert selector.connect("currentNodeChanged(vtkMRMLNode*)", print) is True
    assert selector.connect("currentNodeChanged(vtkObject*)", print) is False
    # Qt 6 has this one; the application, on Qt 5, has not.
    assert qt.QCheckBox().connect("checkStateChanged(Qt::CheckState)", print) is False


def test_all_forms_of_a_signal_fire(host: Host) -> None:
    import qt

    button = qt.QPushButton()
    button.checkable = True
    seen: list[object] = []
    button.connect("clicked()", lambda: seen.append("no argument"))
    button.connect("clicked(bool)", lambda on: seen.append(on))
    button.clicked.connect(lambda on: seen.append(("bound", on)))
    button.clicked.connect(lambda: seen.append("trimmed"))
    button.click()
    assert seen == ["no argument", True, ("bound", True), "trimmed"]
    assert host.slotErrors == []


def test_disconnect(host: Host) -> None:
    import qt

    button = qt.QPushButton()
    seen: list[int] = []

    def slot() -> None:
        seen.append(1)

    button.connect("clicked()", slot)
    assert button.disconnect("clicked()", slot) is True
    button.clicked.connect(slot)
    assert button.clicked.disconnect(slot) is True
    button.click()
    assert seen == []
    assert button.disconnect("clicked()", slot) is False


def test_a_slot_with_too_many_parameters_fails_in_the_log(host: Host) -> None:
    import qt

    button = qt.QPushButton()
    button.connect("clicked()", lambda one, two: None)
    button.click()
    assert [error.kind for error in host.slotErrors] == ["TypeError"]


def test_a_default_argument_is_filled_by_the_signal(host: Host) -> None:
    import qt

    button = qt.QPushButton()
    seen: list[object] = []
    button.connect("clicked(bool)", lambda name="apply": seen.append(name))
    button.click()
    assert seen == [False]  # the trap of lambdas in loops, as in the application


def test_combo_box(host: Host) -> None:
    import qt

    box = qt.QComboBox()
    value = {"task": "total"}
    box.addItem("Total", value)
    box.addItem("Lung", ("lung", 1))
    assert (box.count, box.currentIndex, box.currentText) == (2, 0, "Total")
    assert box.currentData == value
    assert box.itemData(1) == ("lung", 1)
    assert box.findData(("lung", 1)) == 1
    assert box.findText("absent") == -1
    seen: list[object] = []
    box.connect("currentIndexChanged(int)", seen.append)
    box.connect("currentIndexChanged(QString)", seen.append)
    box.currentIndex = 1
    assert seen == [1, "Lung"]
    with pytest.raises(TypeError):
        box.currentData()


def test_every_widget_is_a_qwidget(host: Host) -> None:
    import ctk
    import qt
    import slicer

    for widget in (qt.QPushButton(), ctk.ctkMenuButton(), slicer.qMRMLWidget(), qt.QMessageBox()):
        assert isinstance(widget, qt.QWidget)
    assert isinstance(qt.QMessageBox(), qt.QDialog)
    assert isinstance(ctk.ctkMenuButton(), qt.QPushButton)
    assert not isinstance(qt.QLabel(), qt.QPushButton)
    assert issubclass(qt.QCheckBox, qt.QAbstractButton)


def test_children_are_found(host: Host) -> None:
    import qt

    parent = qt.QWidget()
    first, second = qt.QPushButton(parent), qt.QLabel(parent)
    first.name = "first"
    assert parent.findChild(qt.QPushButton, "first") is first
    assert parent.findChildren(qt.QWidget) == [first, second]
    assert parent.findChild(qt.QWidget, "third") is None
    assert first.parent() is parent
    assert first.className() == "QPushButton"


def test_signals_cannot_be_made_in_python(host: Host) -> None:
    import qt

    with pytest.raises(AttributeError):
        _ = qt.Signal


def test_timers(host: Host) -> None:
    import qt

    seen: list[str] = []
    timer = qt.QTimer()
    timer.interval = 1
    timer.connect("timeout()", lambda: seen.append("timeout"))
    timer.start()
    assert timer.active
    qt.QTimer.singleShot(0, lambda: seen.append("once"))
    assert host.wait(lambda: {"timeout", "once"} <= set(seen))
    timer.stop()
    assert not timer.active
    qt.QTimer.singleShot(0, lambda: 1 / 0)
    assert host.wait(lambda: host.slotErrors)
    assert host.slotErrors[0].kind == "ZeroDivisionError"


def test_processes(host: Host) -> None:
    import qt

    process = qt.QProcess()
    output, ended = [], []
    process.connect(
        "readyReadStandardOutput()", lambda: output.append(process.readAllStandardOutput().data())
    )
    process.connect(
        "finished(int,QProcess::ExitStatus)", lambda code, status: ended.append((code, status))
    )
    process.start(sys.executable, ["-c", "print('done'); raise SystemExit(3)"])
    assert host.wait(lambda: ended, timeout=30)
    assert b"".join(output).strip() == b"done"
    assert ended == [(3, qt.QProcess.NormalExit)]


def test_console_processes_of_slicer(host: Host) -> None:
    import slicer

    lines, codes = [], []
    slicer.util.launchConsoleProcess(
        [sys.executable, "-c", "print('one')"],
        blocking=False,
        logCallback=lines.append,
        completedCallback=codes.append,
    )
    assert host.wait(lambda: codes, timeout=30)
    assert codes == [0]
    assert [line.strip() for line in lines] == ["one"]


def test_the_environment_at_the_start(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer

    monkeypatch.setenv("SLICERHOST_TEST", "value")
    assert slicer.util.startupEnvironment()["SLICERHOST_TEST"] == "value"


def test_menus_hand_out_actions(host: Host) -> None:
    import ctk
    import qt

    menu = qt.QMenu()
    action = menu.addAction("Export")
    seen: list[str] = []
    action.connect("triggered()", lambda: seen.append(action.text))
    button = ctk.ctkMenuButton()
    button.setMenu(menu)
    button.menu().actions()[0].trigger()
    assert seen == ["Export"]
    with pytest.raises(AttributeError):
        action.txt = "typing error"
