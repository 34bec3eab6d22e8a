"""A small scripted module and its .ui file, written by tests of the host."""

from __future__ import annotations

from pathlib import Path

NAME = "SmallModule"

CODE = """
import enum
from typing import Annotated

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

CALLS = []


class Speed(enum.Enum):
    FAST = "fast"
    NORMAL = "normal"

    def label(self):
        return self.value


class SmallModule(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Small")
        self.parent.categories = ["Testing"]
        self.parent.helpText = self.getDefaultModuleDocumentationLink()
        slicer.app.connect("startupCompleted()", lambda: CALLS.append("startupCompleted"))


@parameterNodeWrapper
class SmallModuleParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    cpu: bool = False
    margin: Annotated[float, WithinRange(0.0, 10.0)] = 2.5
    task: Annotated[str, Choice(["total", "lung"])] = "total"
    speed: Speed = Speed.NORMAL
    note: str = ""
    threads: Annotated[int, WithinRange(1, 8)] = 1


class SmallModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameterNode = None
        self._tag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        CALLS.append("setup")
        panel = slicer.util.loadUI(self.resourcePath("UI/SmallModule.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = SmallModuleLogic()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.initializeParameterNode()

    def cleanup(self):
        CALLS.append("cleanup")
        self.removeObservers()

    def enter(self):
        CALLS.append("enter")
        self.initializeParameterNode()

    def exit(self):
        CALLS.append("exit")
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        CALLS.append("startClose")
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        CALLS.append("endClose")
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, node):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._tag)
            self.removeObserver(self._parameterNode, vtk_modified, self.onModified)
        self._parameterNode = node
        if node:
            self._tag = node.connectGui(self.ui)
            self.addObserver(node, vtk_modified, self.onModified)
            self.onModified()

    def onModified(self, caller=None, event=None):
        self.ui.applyButton.enabled = self._parameterNode.inputVolume is not None

    def onApply(self):
        with slicer.util.tryWithErrorDisplay("Failed"):
            self.ui.bar.value = 40
            self.logic.process(self._parameterNode.inputVolume)


vtk_modified = "ModifiedEvent"


class SmallModuleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return SmallModuleParameterNode(super().getParameterNode())

    def process(self, volume):
        CALLS.append(("process", volume.GetName()))


class SmallModuleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.setUp()
        CALLS.append("runTest")
"""


def _bound(cls: str, name: str, parameter: str) -> str:
    return f"""
   <item><widget class="{cls}" name="{name}">
     <property name="SlicerParameterName" stdset="0"><string>{parameter}</string></property>
   </widget></item>"""


UI = f"""<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>SmallModule</class>
 <widget class="qMRMLWidget" name="SmallModule">
  <layout class="QVBoxLayout" name="verticalLayout">
   <item><widget class="ctkCollapsibleButton" name="inputs">
     <property name="text"><string>Inputs</string></property>
     <layout class="QFormLayout" name="form">
      <item row="0" column="0"><widget class="QLabel" name="inputLabel">
        <property name="text"><string>Input volume:</string></property></widget></item>
      <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="inputSelector">
        <property name="nodeTypes">
         <stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
        <property name="showChildNodeTypes"><bool>false</bool></property>
        <property name="addEnabled"><bool>false</bool></property>
        <property name="noneEnabled"><bool>true</bool></property>
        <property name="SlicerParameterName" stdset="0"><string>inputVolume</string></property>
      </widget></item>
     </layout>
   </widget></item>
   {_bound("QCheckBox", "cpuCheckBox", "cpu")}
   {_bound("QDoubleSpinBox", "marginBox", "margin")}
   {_bound("QComboBox", "taskBox", "task")}
   {_bound("QComboBox", "speedBox", "speed")}
   {_bound("QLineEdit", "noteEdit", "note")}
   {_bound("QSpinBox", "threadsBox", "threads")}
   <item><widget class="QPushButton" name="applyButton">
     <property name="enabled"><bool>false</bool></property>
     <property name="text"><string>Apply</string></property></widget></item>
   <item><widget class="QProgressBar" name="bar"/></item>
   <item><widget class="QPlainTextEdit" name="log">
     <property name="readOnly"><bool>true</bool></property></widget></item>
   <item><widget class="qMRMLSegmentationShow3DButton" name="show3D"/></item>
   <item><widget class="ctkMenuButton" name="menuButton"/></item>
  </layout>
 </widget>
 <resources/>
 <connections>
  <connection>
   <sender>SmallModule</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>inputSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
 </connections>
</ui>
"""


def write(folder: Path) -> Path:
    """Write the module into a folder and return the path of its .py file."""
    ui = folder / "Resources" / "UI" / f"{NAME}.ui"
    ui.parent.mkdir(parents=True)
    ui.write_text(UI, encoding="utf-8")
    path = folder / f"{NAME}.py"
    path.write_text(CODE, encoding="utf-8")
    return path
