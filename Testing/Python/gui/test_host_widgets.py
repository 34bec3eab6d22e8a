"""The host's stand-ins for widgets behave as those of the application were seen to behave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slicerhost.host import Host

ROOT = Path(__file__).resolve().parents[3]
UI = ROOT / "TotalSegmentator" / "Resources" / "UI" / "TotalSegmentator.ui"
TAB_UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Tabs</class>
 <widget class="qMRMLWidget" name="Tabs">
  <layout class="QVBoxLayout" name="box">
   <item><widget class="QTabWidget" name="tabs">
     <property name="currentIndex"><number>1</number></property>
     <widget class="QWidget" name="first">
      <attribute name="title"><string>&amp;First</string></attribute>
      <layout class="QVBoxLayout" name="firstBox">
       <item><widget class="ctkSearchBox" name="search">
         <property name="showSearchIcon"><bool>true</bool></property></widget></item>
      </layout></widget>
     <widget class="QWidget" name="second">
      <attribute name="title"><string>Second</string></attribute>
      <layout class="QVBoxLayout" name="secondBox">
       <item><widget class="QTreeWidget" name="tree">
         <property name="rootIsDecorated"><bool>false</bool></property>
         <column><property name="text"><string>Name</string></property></column>
         <column><property name="text"><string>Volume</string></property></column>
        </widget></item>
      </layout></widget>
    </widget></item>
   <item><widget class="QStackedWidget" name="stack"><property name="currentIndex">
      <number>0</number></property>
      <widget class="QWidget" name="page1"/><widget class="QWidget" name="page2"/></widget></item>
  </layout>
 </widget>
</ui>
"""


def add(node_class: str, name: str) -> object:
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass(node_class, name)


def test_every_stand_in_has_only_properties_of_the_application(host: Host) -> None:
    from slicerhost import widgets
    from slicerhost.recorded_api import recorded_class

    for cls in (*widgets.CTK, *widgets.SLICER):
        record = recorded_class(cls.__name__)
        assert record is not None, cls
        # What the stand-ins' base classes of Qt 6 have more is found by the API check.
        own = {name for name in vars(cls) if type(vars(cls)[name]).__name__ == "Property"}
        assert own <= set(record.properties) | {"mrmlScene"}, cls
        signals = {name for name in vars(cls) if type(vars(cls)[name]).__name__ == "Signal"}
        assert signals <= {signal.partition("(")[0] for signal in record.signals}, cls


def test_every_widget_of_the_panel_has_a_stand_in(host: Host) -> None:
    import slicer
    from slicerhost.api_ui import UiFile

    ui = vars(slicer.util.childWidgetVariables(slicer.util.loadUI(str(UI))))
    named = UiFile(UI).widgets.items()
    wanted = {name: kind for name, kind in named if not kind.endswith("Layout")}
    assert {name: type(ui[name]).__name__ for name in wanted} == wanted


def test_pages_of_a_ui_file(host: Host, tmp_path: Path) -> None:
    import slicer

    path = tmp_path / "Tabs.ui"
    path.write_text(TAB_UI, encoding="utf-8")
    panel = slicer.util.loadUI(str(path))
    ui = slicer.util.childWidgetVariables(panel)
    assert (ui.tabs.count, ui.tabs.currentIndex) == (2, 1)
    assert ui.tabs.tabText(0) == "&First"
    seen: list[int] = []
    ui.tabs.connect("currentChanged(int)", seen.append)
    ui.tabs.currentIndex = 0
    assert seen == [0]
    assert ui.tabs.currentWidget() is ui.first
    ui.stack.setCurrentWidget(ui.page2)
    assert ui.stack.currentIndex == 1
    assert ui.search.showSearchIcon
    assert ui.tree.columnCount == 2
    assert ui.tree.headerItem().text(1) == "Volume"
    with pytest.raises(AttributeError):
        ui.tabs.currentTab = 1


def test_trees(host: Host) -> None:
    import qt

    tree = qt.QTreeWidget()
    tree.setHeaderLabels(["Structure", "Note"])
    group = qt.QTreeWidgetItem(tree, ["Lungs", ""])
    rows = [qt.QTreeWidgetItem(group, [name, ""]) for name in ("left", "right")]
    for row in rows:
        row.setFlags(row.flags() | qt.Qt.ItemIsUserCheckable)
        row.setCheckState(0, qt.Qt.Unchecked)
        row.setData(0, qt.Qt.UserRole, {"id": row.text(0)})
        row.setToolTip(0, "a lung")
    assert (tree.topLevelItemCount, group.childCount()) == (1, 2)
    changed: list[tuple] = []
    current: list[object] = []
    assert tree.connect(
        "itemChanged(QTreeWidgetItem*,int)", lambda item, column: changed.append((item, column))
    )
    assert tree.connect(
        "currentItemChanged(QTreeWidgetItem*,QTreeWidgetItem*)", lambda now, _: current.append(now)
    )
    assert not tree.connect("itemChanged(QTreeWidgetItem*)", changed.append)
    rows[1].setCheckState(0, qt.Qt.Checked)
    tree.setCurrentItem(rows[1])
    assert changed == [(rows[1], 0)]
    assert current == [rows[1]]
    assert group.child(1) is rows[1]
    assert rows[1].data(0, qt.Qt.UserRole) == {"id": "right"}
    assert [bool(row.checkState(0)) for row in rows] == [False, True]  # numbers, as in PythonQt
    assert rows[1].checkState(0) == 2
    rows[0].setHidden(True)
    assert rows[0].isHidden()
    group.setExpanded(True)
    assert [item.text(0) for item in tree.selectedItems()] == ["right"]
    for wrong in ("checked", "hidden", "toolTip"):
        with pytest.raises(AttributeError, match=wrong):
            setattr(rows[0], wrong, True)
    with pytest.raises(TypeError):
        tree.topLevelItemCount()


def test_lists(host: Host) -> None:
    import qt

    box = qt.QListWidget()
    box.addItem("one")
    item = qt.QListWidgetItem("two", box)
    item.setData(qt.Qt.UserRole, "second")
    assert (box.count, box.currentRow) == (2, -1)
    seen: list[int] = []
    box.connect("currentRowChanged(int)", seen.append)
    box.currentRow = 1
    assert seen == [1]
    assert box.currentItem() is item
    assert box.takeItem(1) is item
    assert box.count == 1
    with pytest.raises(AttributeError):
        item.text = "three"


def test_groups_of_buttons(host: Host) -> None:
    import qt

    group = qt.QButtonGroup()
    buttons = [qt.QRadioButton(text) for text in ("normal", "fast")]
    for number, button in enumerate(buttons):
        group.addButton(button, number)
    seen: list[object] = []
    assert group.connect("buttonClicked(int)", lambda number: seen.append(number))
    assert group.connect("buttonToggled(int,bool)", lambda number, on: seen.append((number, on)))
    assert group.connect("buttonClicked(QAbstractButton*)", lambda button: seen.append(button.text))
    buttons[1].click()
    assert seen == [(1, True), 1, "fast"] or seen == [(1, True), "fast", 1]
    assert group.checkedId() == 1
    assert group.checkedButton() is buttons[1]
    assert not group.connect("clicked()", seen.append)


def test_shortcuts(host: Host) -> None:
    import qt
    from PySide6.QtTest import QTest

    panel = qt.QWidget()
    line = qt.QLineEdit(panel)
    shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+Return"), panel)
    seen: list[str] = []
    assert shortcut.connect("activated()", lambda: seen.append("pressed"))
    assert not shortcut.connect("pressed()", lambda: None)
    panel.show()
    panel.activateWindow()
    line.setFocus()
    host.pump()
    QTest.keyClick(line, qt.Qt.Key_Return, qt.Qt.ControlModifier)
    assert seen == ["pressed"]
    shortcut.enabled = False
    QTest.keyClick(line, qt.Qt.Key_Return, qt.Qt.ControlModifier)
    assert seen == ["pressed"]


def test_clipboard(host: Host) -> None:
    import slicer

    slicer.app.clipboard().setText("a report")
    assert slicer.app.clipboard().text() == "a report"
    host.reset()
    assert slicer.app.clipboard().text() == ""


def test_menus_are_answered(host: Host) -> None:
    import qt

    menu, seen = qt.QMenu(), []
    menu.addAction("STL").connect("triggered()", lambda: seen.append("STL"))
    hidden = menu.addAction("OBJ")
    hidden.visible = False
    host.answer("STL", "OBJ")
    assert menu.exec_(qt.QCursor.pos()).text == "STL"
    assert menu.exec_() is None
    assert seen == ["STL"]
    assert host.dialogs[0].text == "STL"


def test_pages_opened_in_the_browser_are_written_down(host: Host) -> None:
    import qt

    assert qt.QDesktopServices.openUrl(qt.QUrl("https://example.org/licence"))
    assert host.openedUrls == ["https://example.org/licence"]
    with pytest.raises(TypeError):
        qt.QDesktopServices.openUrl("https://example.org")
    host.reset()
    assert host.openedUrls == []


def test_search_box(host: Host) -> None:
    import ctk

    box = ctk.ctkSearchBox()
    seen: list[str] = []
    assert box.connect("textChanged(QString)", seen.append)
    box.text = "lung"
    box.clear()
    assert seen == ["lung", ""]
    assert box.placeholderText
    with pytest.raises(AttributeError):
        box.searchText = "lung"


def test_slider(host: Host) -> None:
    import ctk

    slider = ctk.ctkSliderWidget()
    slider.maximum = 1.0
    slider.singleStep = 0.05
    seen: list[float] = []
    assert slider.connect("valueChanged(double)", seen.append)
    slider.value = 0.5
    slider.value = 7
    slider.setValue(1.0)
    slider._spin.setValue(0.25)  # what people enter in its spin box
    assert seen == [0.5, 1.0, 0.25]
    assert slider.value == 0.25
    slider.maximum = 0.1
    assert (slider.value, seen[-1]) == (0.1, 0.1)
    with pytest.raises(AttributeError):
        slider.setMaximum(2.0)


def test_path_line(host: Host, tmp_path: Path) -> None:
    import ctk

    line = ctk.ctkPathLineEdit()
    line.settingKey = "Tests/Path"
    seen: list[str] = []
    assert line.connect("currentPathChanged(QString)", seen.append)
    host.answer("/data/ct.nii", str(tmp_path), "")
    line.browse()
    line.filters = ctk.ctkPathLineEdit.Dirs
    line.browse()
    line.browse()  # cancelled
    assert seen == ["/data/ct.nii", str(tmp_path)]
    assert [shown.kind for shown in host.dialogs] == [
        "QFileDialog.getOpenFileName",
        "QFileDialog.getExistingDirectory",
        "QFileDialog.getExistingDirectory",
    ]
    line.addCurrentPathToHistory()
    other = ctk.ctkPathLineEdit()
    other.settingKey = "Tests/Path"
    other.retrieveHistory()
    assert other.currentPath == str(tmp_path)


def test_directory_button(host: Host, tmp_path: Path) -> None:
    import ctk

    button = ctk.ctkDirectoryButton()
    assert button.directory == str(Path.cwd())  # it always shows some folder
    changed, selected = [], []
    assert button.connect("directoryChanged(QString)", changed.append)
    assert button.connect("directorySelected(QString)", selected.append)
    host.answer(str(tmp_path), "")
    button.browse()
    button.browse()  # cancelled
    button.directory = str(tmp_path)
    assert changed == [str(tmp_path)]
    assert selected == [str(tmp_path)] * 2


def test_folding_keeps_what_code_had_hidden(host: Host) -> None:
    import ctk
    import qt

    for section in (ctk.ctkCollapsibleButton(), ctk.ctkCollapsibleGroupBox()):
        shown, hidden = qt.QLabel("shown", section), qt.QLabel("hidden", section)
        hidden.hide()
        section.collapsed = True
        assert shown.isHidden()
        section.collapsed = False
        assert (shown.isHidden(), hidden.isHidden()) == (False, True)
    section.checked = False
    assert section.collapsed


def test_selector_of_regions_adds_one(host: Host) -> None:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLMarkupsROINode"]
    box.addEnabled = box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    box.setNodeTypeLabel("Box", "vtkMRMLMarkupsROINode")
    assert box.nodeTypeLabel("vtkMRMLMarkupsROINode") == "Box"
    made = box.addNode()
    assert made.IsA("vtkMRMLMarkupsROINode")
    assert box.currentNode() is made
    seen: list[str] = []
    assert box.connect("currentNodeRenamed(QString)", seen.append)
    host.answer("Left lung")
    box.renameCurrentNode()
    assert (made.GetName(), seen) == ("Left lung", ["Left lung"])


def test_checkable_selector(host: Host) -> None:
    import qt
    import slicer

    box = slicer.qMRMLCheckableNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(slicer.mrmlScene)
    seen: list[int] = []
    assert box.connect("checkedNodesChanged()", lambda: seen.append(len(box.checkedNodes())))
    first, second = (add("vtkMRMLScalarVolumeNode", name) for name in "ab")
    assert (box.noneChecked(), box.checkState(first)) == (True, qt.Qt.Unchecked)
    box.setCheckState(second, qt.Qt.Checked)
    box.check(first)
    assert box.checkedNodes() == [first, second]
    assert box.allChecked()
    box.uncheck(first)
    assert (box.checkedNodes(), box.uncheckedNodes()) == ([second], [first])
    slicer.mrmlScene.RemoveNode(second)
    assert box.noneChecked()
    assert seen == [1, 2, 1, 0]
    index = box._box.model().index(0, 0)
    box.setUserCheckable(first, False)
    box._pressed(index)
    assert box.noneChecked()
    box.setUserCheckable(first, True)
    box._pressed(index)
    assert box.checkedNodes() == [first]
    assert box.addEnabled is False


def test_view_of_a_table(host: Host) -> None:
    import slicer

    table = add("vtkMRMLTableNode", "report")
    table.AddColumn().SetName("Structure")
    table.AddEmptyRow()
    table.SetCellText(0, 0, "Liver")
    view = slicer.qMRMLTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(table)
    assert view.mrmlTableNode() is table
    assert view.model().index(0, 0).data() == "Liver"
    table.SetCellText(0, 0, "Spleen")
    table.Modified()
    assert view.model().index(0, 0).data() == "Spleen"
    view.setMRMLTableNode(None)
    assert view.model().rowCount() == 0
