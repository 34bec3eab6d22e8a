"""The Slicer module TotalSegmentator: what speaks Slicer. All else is in TotalSegmentatorLib."""

import contextlib
import dataclasses
import functools
import logging
import os
import re
import sys
import time
import unittest
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import slicer
import slicer.util
import vtk

try:
    import slicer.ScriptedLoadableModule
except ModuleNotFoundError:  # slicer-core: Slicer without the application
    from TotalSegmentatorLib.scene import bare

    bare.provide()

from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from TotalSegmentatorWidgets import Choices
from TotalSegmentatorWidgets.DicomLogic import DicomLogic
from TotalSegmentatorWidgets.SetupLogic import SetupLogic

from TotalSegmentatorLib import catalog, engines, environment, history, jobs
from TotalSegmentatorLib.engines.contract import DEVICE_PATTERN
from TotalSegmentatorLib.environment import EngineEnvironment, Hardware
from TotalSegmentatorLib.errors import InputError, SegmentationError
from TotalSegmentatorLib.estimate import Estimate, estimate, estimate_speeds
from TotalSegmentatorLib.images import crop, voxel_box
from TotalSegmentatorLib.images.frames import parse_frames
from TotalSegmentatorLib.jobs import Event, Job, Request
from TotalSegmentatorLib.runs import Runs, check, complete
from TotalSegmentatorLib.scene import (
    IMPORT_MODES,
    Results,
    SceneJob,
    SceneResult,
    SegmentationJob,
    Target,
    VoxelsInUse,
    find_output_sequence,
    find_sequence,
    former_parameters,
    read_frames,
    region_points,
    versions,
    view_volume,
    volume_modality,
)
from TotalSegmentatorLib.scene import Frame as SceneFrame
from TotalSegmentatorLib.segment import Frame, Segmentation, segment, segment_frames
from TotalSegmentatorLib.session import Settings, engine_pool

V = TypeVar("V")
# A node, or points in mm RAS of the volume's own space.
Region = slicer.vtkMRMLMarkupsROINode | Iterable[tuple[float, float, float]]
TERMINOLOGY_FILE = "Terminology/SegmentationCategoryTypeModifier-TotalSegmentator.term.json"


#
# TotalSegmentator
#
class TotalSegmentator(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "TotalSegmentator"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["TotalSegmentator extension contributors"]
        parent.helpText = _(
            "Segments organs, bones, muscles and vessels in CT and MR volumes. Choose a volume and "
            "a task, or the structures to find, then click Apply."
        )
        parent.acknowledgementText = _(
            "Uses TotalSegmentator. If you publish results, please cite: Wasserthal J. et al., "
            "TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images, "
            "Radiology: Artificial Intelligence 2023, https://doi.org/10.1148/ryai.230024, and "
            "nnU-Net: Isensee F. et al., Nature Methods 2021, "
            "https://doi.org/10.1038/s41592-020-01008-z."
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self) -> None:
        """Make the module known to other parts of Slicer, which exist by now."""
        from TotalSegmentatorWidgets import ContextMenu, SampleVolume

        self.loadTerminology()
        ContextMenu.register()
        SampleVolume.register()

    def loadTerminology(self) -> None:
        """Make the codes of the structures known to Slicer's terminology selector."""
        path = os.path.join(os.path.dirname(__file__), "Resources", TERMINOLOGY_FILE)
        slicer.modules.terminologies.logic().LoadTerminologyFromFile(path)


#
# TotalSegmentatorParameterNode
#
@parameterNodeWrapper
class TotalSegmentatorParameterNode:
    """The panel's state, saved with the scene.

    :param inputVolume: volume to segment.
    :param moreVolumes: volumes to segment in the same way, each into a segmentation of its own.
    :param frames: frames to segment, if the volume shows a sequence: all, current, or numbers.
    :param region: box to segment inside of; None means the whole volume.
    :param findBy: what is asked for: ``task`` or ``structures``.
    :param modality: which tasks are listed: CT, MR, all, or empty for those that fit the volume.
    :param task: task id of the catalogue.
    :param structures: ids of structures, from which tasks are chosen.
    :param speed: normal, fast or fastest.
    :param outputSegmentation: receives the result; None means a new one.
    :param resultSegmentation: what the last run has made; shown if no output is chosen.
    :param mode: what happens to its earlier segments: replace, append or update.
    :param useStandardSegmentNames: names for people instead of class names.
    :param device: auto, cpu, gpu:N or mps.
    :param engine: name of the engine; empty means the task's first one.
    :param engineOptions: values of the engine's options that differ from the defaults.
    :param smoothing: of surfaces in 3D, 0 to 1.
    :param keepTemporaryFiles: leave the files of a run in place.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    moreVolumes: list[slicer.vtkMRMLScalarVolumeNode]
    frames: str = "all"
    region: slicer.vtkMRMLMarkupsROINode
    findBy: str = "task"
    modality: str = ""
    task: str = "total"
    structures: list[str]
    speed: str = "normal"
    outputSegmentation: slicer.vtkMRMLSegmentationNode
    resultSegmentation: slicer.vtkMRMLSegmentationNode
    mode: str = "replace"
    useStandardSegmentNames: bool = True
    device: str = "auto"
    engine: str = ""
    engineOptions: dict[str, str]
    smoothing: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    keepTemporaryFiles: bool = False


#
# TotalSegmentatorWidget
#
class TotalSegmentatorWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows the parameter node, queues runs and follows them.

    Each part of the panel is a class in TotalSegmentatorWidgets; this one joins them.
    """

    SETTINGS = "TotalSegmentator"
    ESTIMATE_DELAY_MSEC = 150

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._hardware = environment.this_computer()
        self._estimating: SceneJob | None = None
        self._results: dict[slicer.vtkMRMLSegmentationNode, ShownResult | None] = {}
        self._undone: dict[slicer.vtkMRMLSegmentationNode, ShownResult | None] = {}
        self._shown: ShownResult | None = None
        self._region = None

    def setup(self) -> None:
        import qt

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/TotalSegmentator.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = TotalSegmentatorLogic()
        self._takeSettings()
        self._estimateTimer = qt.QTimer()
        self._estimateTimer.setSingleShot(True)
        self._estimateTimer.setInterval(self.ESTIMATE_DELAY_MSEC)
        self._estimateTimer.connect("timeout()", self.showEstimates)
        self._makeParts()
        self._connect()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        self.initializeParameterNode()
        self._warnOfOtherModules()

    def _takeSettings(self) -> None:
        """What belongs to the computer, not to the scene."""
        self.ui.weightsPathLineEdit.currentPath = environment.load_settings().weights_folder
        read = functools.partial(slicer.util.settingsValue, converter=slicer.util.toBool)
        self.logic.fallBack = read(f"{self.SETTINGS}/FallBack", False)
        self.ui.fallBackCheckBox.checked = self.logic.fallBack

    def _makeParts(self) -> None:
        from TotalSegmentatorWidgets.DevicePicker import DevicePicker
        from TotalSegmentatorWidgets.Exporter import Exporter
        from TotalSegmentatorWidgets.OptionsForm import OptionsForm
        from TotalSegmentatorWidgets.ResultsView import ResultsView
        from TotalSegmentatorWidgets.RunControl import RunControl
        from TotalSegmentatorWidgets.SetupView import SetupView
        from TotalSegmentatorWidgets.SpeedPicker import SpeedPicker
        from TotalSegmentatorWidgets.StructurePicker import StructurePicker
        from TotalSegmentatorWidgets.SurfaceView import SurfaceView
        from TotalSegmentatorWidgets.TaskPicker import TaskPicker

        ui = self.ui
        self.runs = RunControl(ui, self.logic, self)
        self.taskPicker = TaskPicker(ui, self.onTaskChanged, self.onModalityFilterChanged)
        self.structurePicker = StructurePicker(ui, self.onStructuresChanged)
        self.speedPicker = SpeedPicker(ui, self.onSpeedChanged)
        self.optionsForm = OptionsForm(ui.engineOptionsWidget, self.onOptionsChanged)
        self.devicePicker = DevicePicker(ui, self.onDeviceChanged, self.onRefreshDevices)
        self.resultsView = ResultsView(ui)
        self.exporter = Exporter(ui, self.logic, self.runs)
        self.setupView = SetupView(ui, self.logic, self.runs, self.onSetupChanged)
        self.surfaceView = SurfaceView(ui, self.runs.showError)
        for mode, title in (
            ("replace", _("Replace")),
            ("append", _("Keep, and add the new ones")),
            ("update", _("Keep, and replace those found again")),
        ):
            ui.modeComboBox.addItem(title, mode)

    def _connect(self) -> None:
        ui = self.ui
        ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        ui.queueButton.connect("clicked(bool)", self.onQueueButton)
        ui.undoButton.connect("clicked(bool)", self.onUndoButton)
        ui.findTabWidget.connect("currentChanged(int)", self.onFindTabChanged)
        ui.moreVolumesSelector.connect("checkedNodesChanged()", self.onMoreVolumesChanged)
        ui.modeComboBox.connect("currentIndexChanged(int)", self.onModeSelected)
        ui.engineComboBox.connect("currentIndexChanged(int)", self.onEngineSelected)
        ui.freeMemoryButton.connect("clicked()", self.onFreeMemory)
        ui.weightsPathLineEdit.connect("currentPathChanged(QString)", self.onWeightsFolderChanged)
        ui.fallBackCheckBox.connect("clicked(bool)", self.onFallBackClicked)

    def cleanup(self) -> None:
        """The module is reloaded, or the application quits: nothing of a run may stay."""
        self._estimateTimer.stop()
        self.setParameterNode(None)
        self.removeObservers()
        self._letGo()
        self.runs.cancelAll()
        self.logic.abandonJobs()
        self.logic.releaseEngine()

    def onReload(self) -> None:
        """Developers reload the library too, not the module file alone."""
        packages = ("TotalSegmentatorLib", "TotalSegmentatorWidgets")
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def enter(self) -> None:
        self.initializeParameterNode()
        self.setupView.refresh()

    def exit(self) -> None:
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        self.setParameterNode(None)
        self.runs.leaveScene()
        self._letGo()

    def _letGo(self) -> None:
        """Keep no node alive: a result holds much memory, and takes long to be deleted."""
        self._results.clear()
        self._undone.clear()
        self._showResult(None)
        self._observeRegion(None)
        self.exporter.stop()
        self.exporter.setNode(None)
        self.surfaceView.setSegmentation(None, 0.5)

    def onSceneEndClose(self, caller, event) -> None:
        self.logic.forgetRemoved()
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event) -> None:
        if self.parent.isEntered:  # the scene may have brought parameters
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller, event, node) -> None:
        self._results.pop(node, None)
        self._undone.pop(node, None)

    def _warnOfOtherModules(self) -> None:
        """Only one of two modules of the same name is loaded: say which it is."""
        others = self.logic.otherModules()
        if others:
            self.runs.addLog(
                _("Another module TotalSegmentator lies in {folder}; this one was loaded.").format(
                    folder=", ".join(str(path.parent) for path in others)
                )
            )

    # Parameter node

    def initializeParameterNode(self) -> None:
        """Show the scene's parameter node; select a volume if none is."""
        parameters = self.logic.getParameterNode()
        self._takeFormerParameters(parameters)
        self.setParameterNode(parameters)
        if not parameters.inputVolume:
            parameters.inputVolume = self._volumeToBeginWith()

    def _takeFormerParameters(self, parameters: TotalSegmentatorParameterNode) -> None:
        """A scene may have been saved with the former extension."""
        former = former_parameters.migrate(parameters.parameterNode)
        if former is None:
            return
        values = {
            "inputVolume": former.input_volume,
            "outputSegmentation": former.output_segmentation,
            "task": former.task,
            "speed": former.speed,
            "useStandardSegmentNames": former.use_standard_segment_names,
            "device": former.device,
            "engineOptions": {name: str(value) for name, value in former.options.items()},
        }
        for name, value in values.items():
            if value is not None:
                setattr(parameters, name, value)

    def _replaceUnknown(self, parameters: TotalSegmentatorParameterNode) -> None:
        """A scene may come from another version, which knows more than this one."""
        choices = {
            "task": ["total", *(task.id for task in catalog.tasks())],
            "engine": ["", *engines.specs()],
            "findBy": self._FIND_BY,
            "modality": ["", "CT", "MR", "all"],
            "mode": IMPORT_MODES,
        }
        for name, known in choices.items():
            if getattr(parameters, name) not in known:
                setattr(parameters, name, known[0])
        if not re.fullmatch(DEVICE_PATTERN, parameters.device):
            parameters.device = "auto"

    def _volumeToBeginWith(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume that the views show, else the first of the scene."""
        volumes = [
            node
            for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            # The exact class, as in the selector: labelmap volumes are scalar volumes too.
            if node.GetClassName() == "vtkMRMLScalarVolumeNode"
        ]
        active = slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
        shown = [node for node in volumes if node.GetID() == active]
        return next(iter(shown or volumes), None)

    def setParameterNode(self, parameterNode: TotalSegmentatorParameterNode | None) -> None:
        """Show this parameter node, and no longer the one before."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(
                self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateGui
            )
        self._parameterNode = parameterNode
        if parameterNode:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(
                parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateGui
            )
            self.updateGui()

    def setParameter(self, name: str, value: object) -> None:
        """Store what a part of the panel was set to."""
        if self._parameterNode:
            setattr(self._parameterNode, name, value)

    def selectVolume(self, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Choose a volume as input."""
        self.initializeParameterNode()
        self._parameterNode.inputVolume = volume

    def updateGui(self, caller=None, event=None) -> None:
        """Show what the parameter node's wrapper does not connect by itself."""
        parameters = self._parameterNode
        if not parameters:
            return
        self._replaceUnknown(parameters)
        volume = parameters.inputVolume
        self._showInputs(parameters, volume)
        self._showOutput(parameters)
        self._showAdvanced(parameters)
        self.runs.showButtons(bool(volume))
        self._estimateTimer.start()

    def _showInputs(
        self,
        parameters: TotalSegmentatorParameterNode,
        volume: slicer.vtkMRMLScalarVolumeNode | None,
    ) -> None:
        isSequence = volume is not None and find_sequence(volume) is not None
        self.ui.framesLabel.visible = isSequence
        self.ui.framesLineEdit.visible = isSequence
        self._observeRegion(parameters.region)
        self._showMoreVolumes(parameters.moreVolumes)
        modality = volume_modality(volume) if volume else ""
        self.taskPicker.setVolumeModality(modality)
        self.taskPicker.modalityFilter = parameters.modality
        self.taskPicker.task = parameters.task
        self.structurePicker.setModality(modality)
        self.structurePicker.checked = tuple(parameters.structures)
        self.ui.findTabWidget.currentIndex = self._FIND_BY.index(parameters.findBy)
        engine = Choices.chosenEngine(parameters)
        self.structurePicker.plan(parameters.speed, modality, engine)
        self.speedPicker.setOffered(self._offeredSpeeds(parameters))
        self.speedPicker.speed = parameters.speed

    _FIND_BY = ("task", "structures")

    def _showMoreVolumes(self, volumes: Iterable[slicer.vtkMRMLScalarVolumeNode]) -> None:
        import qt

        selector = self.ui.moreVolumesSelector
        wanted = set(volumes)
        wasBlocked = selector.blockSignals(True)
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            state = qt.Qt.Checked if node in wanted else qt.Qt.Unchecked
            if selector.checkState(node) != state:
                selector.setCheckState(node, state)
        selector.blockSignals(wasBlocked)

    def _offeredSpeeds(self, parameters: TotalSegmentatorParameterNode) -> list[str]:
        """Structures may be asked for at any speed: a task without it runs at the next finer."""
        if parameters.findBy == "structures":
            return list(catalog.SPEEDS)
        return self.logic.getSupportedSpeeds(parameters.task)

    def _showOutput(self, parameters: TotalSegmentatorParameterNode) -> None:
        ui, output = self.ui, parameters.outputSegmentation
        wasBlocked = ui.modeComboBox.blockSignals(True)
        ui.modeComboBox.currentIndex = ui.modeComboBox.findData(parameters.mode)
        ui.modeComboBox.blockSignals(wasBlocked)
        ui.modeComboBox.enabled = output is not None
        shown = output or parameters.resultSegmentation
        self.surfaceView.setSegmentation(shown, parameters.smoothing)
        self.exporter.setNode(shown)
        self._showResult(self._results.get(shown))
        title = _("Results of {name}").format(name=shown.GetName()) if shown else _("Results")
        ui.resultsCollapsibleButton.text = title
        ui.undoButton.enabled = not self.busy and self.logic.canRestorePrevious(shown)

    def _showResult(self, result: "ShownResult | None") -> None:
        if result is self._shown:  # people may be looking at a row
            return
        self._shown = result
        self.resultsView.clear()
        if result:
            self.resultsView.show(result.reports, result.node, result.table, result.frames)

    def _showAdvanced(self, parameters: TotalSegmentatorParameterNode) -> None:
        self.devicePicker.device = parameters.device
        self._showEngines(parameters)
        self.optionsForm.setOptions(Choices.offeredOptions(parameters))
        self.optionsForm.values = dict(parameters.engineOptions.items())

    def _showEngines(self, parameters: TotalSegmentatorParameterNode) -> None:
        box, names = self.ui.engineComboBox, Choices.offeredEngines(parameters)
        wasBlocked = box.blockSignals(True)
        if [box.itemData(index) for index in range(1, box.count)] != list(names):
            box.clear()
            box.addItem("", "")
            for name in names:
                box.addItem(engines.spec(name).title, name)
        automatic = _("Automatic")  # of structures, each by the task that suits it best
        if parameters.findBy == "task":
            automatic = _("Automatic ({engine})").format(engine=engines.spec(names[0]).title)
        box.setItemText(0, automatic)
        box.currentIndex = box.findData(Choices.chosenEngine(parameters))
        box.blockSignals(wasBlocked)

    def _observeRegion(self, region: slicer.vtkMRMLMarkupsROINode | None) -> None:
        """The estimate follows the box."""
        if region is self._region:
            return
        events = (slicer.vtkMRMLMarkupsNode.PointModifiedEvent, vtk.vtkCommand.ModifiedEvent)
        for event in events:
            if self._region and self.hasObserver(self._region, event, self.onRegionModified):
                self.removeObserver(self._region, event, self.onRegionModified)
            if region:
                self.addObserver(region, event, self.onRegionModified)
        self._region = region

    def onRegionModified(self, caller, event) -> None:
        self._estimateTimer.start()

    @property
    def busy(self) -> bool:
        """Whether a run goes on or waits."""
        return self.runs.busy

    def showEstimates(self) -> None:
        """Show what the speeds mean for this volume on this computer, and what is missing.

        Models are looked for in a thread: the weights folder may lie on a slow disk.
        """
        parameters = self._parameterNode
        if not parameters:
            return
        if self._estimating:
            self._estimateTimer.start()
            return
        volume, ofSpeeds, ofTasks = parameters.inputVolume, dict, dict
        if volume:
            here = (volume, self._hardware)
            with contextlib.suppress(SegmentationError):  # Apply tells what is wrong
                region = Choices.regionOf(parameters, volume)
                how = {"speed": parameters.speed, "device": parameters.device, "region": region}
                ofTasks = self.logic.estimatingTasks(*here, **how)
                asked = {**how, **Choices.askedFor(parameters, self.logic)}
                ofSpeeds = self.logic.estimating(*here, **asked)
        looks = (ofSpeeds, ofTasks, self.logic.downloads())
        job = Job(lambda context: [_unlessWrong(look) for look in looks])
        self._estimating = self.logic.followJob(job.start())
        self._estimating.when_done(self._onEstimates)

    def _onEstimates(self, job: SceneJob) -> None:
        self._estimating = None
        if job.error:
            return
        ofSpeeds, ofTasks, downloads = job.result
        self.taskPicker.setDownloads(downloads)
        self.taskPicker.setEstimates(ofTasks)
        self.speedPicker.setTexts({speed: self._text(one) for speed, one in ofSpeeds.items()})
        chosen = ofSpeeds.get(self.speedPicker.speed)
        self.setupView.setDownload(chosen.download if chosen else "")

    def _text(self, estimate: Estimate) -> str:
        """One line: the resolution, and what a run is estimated to take."""
        text = _("{resolution}; estimated {time}, {memory} memory").format(
            resolution=estimate.resolution, time=estimate.time, memory=estimate.memory
        )
        if estimate.download:
            text += _(", {size} to download").format(size=estimate.download)
        if estimate.warning:
            text += _(" - {warning}").format(warning=estimate.warning)
        return text

    # Runs

    def onApplyButton(self, checked: bool = False) -> None:
        """Segment; or, if something runs already, stop it."""
        if self.runs.canCancel:
            self.runs.cancel()
        else:
            self.runs.apply(self._parameterNode)

    def onQueueButton(self, checked: bool = False) -> None:
        """Segment when what runs now has ended."""
        self.runs.apply(self._parameterNode)

    def onRunsChanged(self) -> None:
        self.updateGui()
        if not self.busy:
            self.setupView.refresh()  # a run may have downloaded models
        if not self._parameterNode:  # the panel was left
            self.runs.showButtons(False)

    def onResult(self, parameters: TotalSegmentatorParameterNode, job: SegmentationJob) -> None:
        """Show a result. The next run does not write over it, unless people choose so."""
        node = job.result
        self._undone[node] = self._results.get(node)
        self._results[node] = ShownResult(job.reports, node, job.table, job.frames)
        parameters.resultSegmentation = node
        self.ui.resultsCollapsibleButton.collapsed = False

    def onUndoButton(self, checked: bool = False) -> None:
        """Put back what the output held before the last run."""
        parameters = self._parameterNode
        node = parameters.outputSegmentation or parameters.resultSegmentation
        try:
            self.logic.restorePrevious(node)
            self._results[node], self._undone[node] = (
                self._undone.get(node),
                self._results.get(node),
            )
            self.runs.say(_("What the segmentation held before is back."))
        except SegmentationError as error:
            self.runs.showError(error)
        self.updateGui()

    def openSetup(self) -> None:
        self.setupView.open()

    def openLicence(self) -> None:
        self.setupView.openLicence()

    # What people choose

    def onTaskChanged(self) -> None:
        self.setParameter("task", self.taskPicker.task)

    def onModalityFilterChanged(self) -> None:
        self.setParameter("modality", self.taskPicker.modalityFilter)

    def onStructuresChanged(self) -> None:
        self.setParameter("structures", list(self.structurePicker.checked))

    def onSpeedChanged(self) -> None:
        self.setParameter("speed", self.speedPicker.speed)

    def onOptionsChanged(self) -> None:
        values = self.optionsForm.values
        self.setParameter("engineOptions", {name: str(value) for name, value in values.items()})

    def onDeviceChanged(self) -> None:
        self.setParameter("device", self.devicePicker.device)

    def onRefreshDevices(self) -> None:
        """Look for GPUs, beside whatever runs."""
        try:
            job = self.logic.startProbe()
        except SegmentationError as error:
            self.runs.showError(error)
        else:
            self.devicePicker.setLooking(True)
            job.when_done(self.onDevicesFound)

    def onDevicesFound(self, job: SceneJob) -> None:
        self.devicePicker.setLooking(False)
        if job.error:
            self.runs.showError(job.error)
        else:
            self._hardware = self.logic.hardware = job.result
            self.devicePicker.setDevices(job.result.devices)
            self.updateGui()

    def onSetupChanged(self) -> None:
        """Another engine is used, or models have come or gone."""
        self.setupView.refresh()
        self.updateGui()

    def onFindTabChanged(self, index: int) -> None:
        self.setParameter("findBy", self._FIND_BY[index])

    def onMoreVolumesChanged(self) -> None:
        self.setParameter("moreVolumes", list(self.ui.moreVolumesSelector.checkedNodes()))

    def onModeSelected(self, index: int) -> None:
        self.setParameter("mode", self.ui.modeComboBox.itemData(index))

    def onEngineSelected(self, index: int) -> None:
        self.setParameter("engine", self.ui.engineComboBox.itemData(index))

    def onFreeMemory(self) -> None:
        """Let go of what the engine keeps in memory for the next run."""
        self.logic.releaseEngine()
        self.runs.say(_("No idle engine is in memory any more."))

    def onWeightsFolderChanged(self, path: str) -> None:
        """The folder is the computer's: it is stored with the settings, not in the scene."""
        try:
            environment.save_settings(environment.load_settings().changed("weights_folder", path))
        except SegmentationError as error:
            self.runs.showError(error)
        self.onSetupChanged()

    def onFallBackClicked(self, checked: bool) -> None:
        """Whether runs may change how they are done, if memory is short."""
        slicer.app.settings().setValue(f"{self.SETTINGS}/FallBack", checked)
        self.logic.fallBack = checked


def _grid(
    volume: slicer.vtkMRMLScalarVolumeNode, request: Request
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Voxels along each axis, and their distances in mm, of what a request is about."""
    image, _notices = view_volume(volume)
    part = crop(image, voxel_box(image, request.region))
    return part.shape_ijk, part.spacing


def _unlessWrong(look: Callable[[], dict[str, V]]) -> dict[str, V]:
    """What can be found out."""
    try:
        return look()
    except SegmentationError:
        return {}


@dataclasses.dataclass(frozen=True, eq=False)
class ShownResult:
    """What the section *Results* shows.

    :param reports: the content of ``report.json``, for each frame of a sequence.
    :param node: what was found.
    :param table: the same for people.
    :param frames: the numbers of the frames, from 1; empty for one volume.
    """

    reports: tuple[Mapping[str, object], ...]
    node: slicer.vtkMRMLSegmentationNode
    table: slicer.vtkMRMLTableNode | None
    frames: tuple[int, ...]


#
# Pulse
#
class Pulse:
    """Polls jobs from the application's event loop, where there is one.

    Nothing else touches the scene and the panel on their behalf, and always on the main thread.
    """

    INTERVAL_MSEC = 20

    def __init__(self) -> None:
        self._jobs: list[SceneJob] = []
        self._timer = None  # only while there are jobs: a connected one keeps this object alive

    def _start(self) -> None:
        try:
            import qt
        except ModuleNotFoundError:  # slicer-core
            return
        self._timer = qt.QTimer()
        self._timer.setInterval(self.INTERVAL_MSEC)
        self._timer.connect("timeout()", self.beat)
        self._timer.start()

    def _stop(self) -> None:
        if self._timer:
            self._timer.stop()
            self._timer.disconnect("timeout()", self.beat)
            self._timer.deleteLater()  # not at once: it may be calling
            self._timer = None

    def follow(self, job: SceneJob, onDone: Callable[[SceneJob], None] | None = None) -> SceneJob:
        """Poll a job until it has ended, and return it."""
        if onDone:
            job.when_done(onDone)
        if not self._timer:
            self._start()
        if self._timer:
            self._jobs.append(job)
        return job

    def beat(self) -> None:
        """Poll each job once; one of them is given time to get on."""
        for number, job in enumerate(list(self._jobs)):
            job.poll(hurry=number > 0)
        self._jobs = [job for job in self._jobs if not job.done]
        if not self._jobs:
            self._stop()

    def idle(self) -> None:
        """Let the application repaint while a script waits; clicks wait until it has ended."""
        if self._timer:
            import qt

            slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)

    def abandon(self) -> None:
        """Stop all jobs, and wait until nothing of them is left."""
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.abandon()
        self._stop()


#
# TotalSegmentatorLogic
#
class TotalSegmentatorLogic(SetupLogic, DicomLogic, ScriptedLoadableModuleLogic):
    """Segments volume nodes; also for scripts, without the panel and without Qt.

    The new calls are :meth:`segment`, :meth:`segmentSequence`, :meth:`restorePrevious`, and those
    of :class:`DicomLogic` and :class:`SetupLogic`. What begins with ``start`` returns at once a
    job, for which ``wait()`` waits. The others keep the names that scripts for the former
    extension use.
    """

    _PAUSE_S = 0.002  # between estimates in a thread

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._pulse = Pulse()
        self._results = Results()
        self._phrase = ""
        self.logCallback: Callable[[str], None] | None = None
        self.clearOutputFolder = True
        self.useStandardSegmentNames = True
        #: Whether a run for which memory is short may be done in another way, see memory_guard.py.
        self.fallBack = False
        #: What :meth:`startProbe` has found, for the check of a run's memory.
        self.hardware: Hardware | None = None
        self.robustCrop = False
        self.removeSmallBlobs = False
        self.higherOrderResampling = False

    def getParameterNode(self) -> TotalSegmentatorParameterNode:
        """The scene's parameter node of this module."""
        return TotalSegmentatorParameterNode(super().getParameterNode())

    # Catalogue

    @property
    def tasks(self) -> dict[str, dict[str, object]]:
        """Task id -> title, modalities, quality modes and licence, as in the former extension."""
        return {
            task.id: {
                "title": task.title,
                "description": task.description,
                "modalities": [task.modality],
                "qualityModes": self.getSupportedQualityModesForTask(task.id),
                "supportsMultiLabel": True,
                "requiresLicense": task.licensed,
            }
            for task in self.availableTasks()
        }

    def availableTasks(self) -> Iterable[catalog.Task]:
        """The tasks that people are offered."""
        return [task for task in catalog.tasks() if not task.hidden]

    def getSupportedSpeeds(self, task: str) -> list[str]:
        """The speeds of a task, of normal, fast and fastest."""
        return list(catalog.task(task).speeds)

    def getSupportedQualityModesForTask(self, task: str | None) -> list[str]:
        """The former extension's names of the speeds: normal, fast, faster."""
        if task is None or task not in {known.id for known in catalog.tasks()}:
            return ["normal"]
        return [{"fastest": "faster"}.get(s, s) for s in self.getSupportedSpeeds(task)]

    def isMultiLabelSupportedForTask(self, task: str) -> bool:
        """True: every task's result is one labelmap."""
        return True

    def isLicenseRequiredForTask(self, task: str) -> bool:
        """Whether a task needs a TotalSegmentator licence."""
        return catalog.task(task).licensed

    @property
    def totalSegmentatorLabelTerminology(self) -> dict[str, str]:
        """Class name -> serialized terminology entry."""
        return {s.id: s.terminology_entry() for s in catalog.structures()}

    def getSegmentLabelColor(self, terminologyEntryStr: str) -> tuple[str, tuple[float, ...]]:
        """Name and colour (0..1) of the structure with this terminology entry.

        :raises RuntimeError: if no structure has it.
        """
        for structure in catalog.structures():
            if structure.terminology_entry() == terminologyEntryStr:
                return structure.name, tuple(value / 255 for value in structure.color)
        raise RuntimeError(f"No structure has the terminology {terminologyEntryStr}")

    # Jobs

    def followJob(
        self, job: Job, finish: Callable[[object], object] = lambda result: result
    ) -> SceneJob:
        """Let the event loop poll a job that needs no scene, where there is an event loop.

        :param finish: called on the main thread if the job has ended well.
        :return: its ``result`` is what ``finish`` makes of that of the job.
        """
        return self._pulse.follow(SceneJob(job, finish, idle=self._pulse.idle))

    def abandonJobs(self) -> None:
        """Stop everything that this logic has started, and wait until nothing of it is left."""
        self._pulse.abandon()

    def releaseEngine(self) -> None:
        """End the engine's process unless it runs something, with all that it keeps in memory."""
        engine_pool().release()

    def _log(self, event: Event) -> None:
        text = getattr(event, "text", None) or getattr(event, "message", None)
        if isinstance(event, jobs.Stage):
            text, self._phrase = text if event.phrase != self._phrase else "", event.phrase
        if text:
            logging.info(text)
            if self.logCallback:
                self.logCallback(text)

    # Segmentation

    def segment(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        task: str = "",
        structures: Iterable[str] = (),
        speed: str = "normal",
        modality: str = "",
        device: str = "auto",
        output: slicer.vtkMRMLSegmentationNode | None = None,
        mode: str = "replace",
        region: Region | None = None,
        engine: str = "",
        mayDownload: bool = False,
        makeTable: bool = False,
        standardNames: bool | None = None,
        keepFiles: bool | None = None,
        anyway: bool = False,
        onEvent: Callable[[Event], None] | None = None,
        onDone: Callable[[SceneJob], None] | None = None,
        **options: object,
    ) -> SegmentationJob:
        """Start a segmentation and return at once.

        In the application the job goes on by itself while the event loop runs; without one (in
        slicer-core) call ``wait()`` or, from a timer of your own, ``poll()``. Its ``result`` is the
        segmentation node, ``progress`` how far it is, ``cancel()`` stops it, ``reports`` tells what
        was found.

        :param volume: what to segment; a linear parent transform is followed.
        :param task: id of the catalogue; empty for the tasks that find ``structures``.
        :param structures: names, ids or groups; empty for all of the task.
        :param speed: normal, fast or fastest.
        :param modality: CT or MR, if the scene does not know it.
        :param device: auto, cpu, gpu, gpu:N or mps.
        :param output: receives the result at the end; None makes a new node then.
        :param mode: what happens to earlier segments of the output: ``replace`` removes them,
            ``append`` keeps them, ``update`` replaces those that are found again, and removes
            those of earlier runs that were looked for in vain.
        :param region: segment inside this box only: an ROI node, or points in mm RAS of the
            volume's own space.
        :param engine: name of the engine; empty for the task's first one.
        :param mayDownload: whether missing weights may be downloaded.
        :param makeTable: whether the scene gets a table of what was found, too.
        :param standardNames: names for people instead of class names; None: as
            :attr:`useStandardSegmentNames` says.
        :param keepFiles: leave the files of the run in place; None: as :attr:`clearOutputFolder`
            says.
        :param anyway: try even what by estimate cannot fit into memory.
        :param onEvent: receives the events.
        :param onDone: called with the job at the end, also after an error or a cancellation.
        :param options: options of the task's engine, e.g. ``robust_crop=True``.
        :raises SegmentationError: if the volume or what is asked cannot be done; nothing has begun.
        """
        target = Target.of(volume, output, mode)
        target.check_single()
        request = self._request(
            volume, task, structures, speed, modality, device, region, engine, **options
        )
        complete(request, volume_modality(volume))  # told of before a missing engine
        settings = self._settings(mayDownload, keepFiles, anyway)
        onEvent = onEvent or self._log
        image, notices = view_volume(volume)
        voxels = VoxelsInUse(volume)
        job = segment(image, request, settings, notices, onEvent, raw=True, reading=voxels)
        shown = self._shownFrame(volume)
        naming = self.useStandardSegmentNames if standardNames is None else standardNames

        def finish(result: Segmentation) -> SceneResult:
            put = self._results.put(result, target, naming, makeTable)
            if self._shownFrame(volume) != shown:
                text = _("The volume shows another frame than when the run began.")
                onEvent(jobs.Warned("input.frame_changed", text))
            return put

        following = SegmentationJob(job, finish, voxels.check, self._pulse.idle)
        return self._pulse.follow(following, onDone)

    def check(self, volume: slicer.vtkMRMLScalarVolumeNode, **asked: object) -> None:
        """What :meth:`segment` would refuse, of what is known without voxels and before the engine
        is installed; nothing is begun.

        :param asked: what is asked of the engine, as in :meth:`segment`.
        :raises SegmentationError: what is wrong.
        """
        engine = EngineEnvironment(Path(), versions.startup_variables())
        check(self._runs(volume, **asked), Settings(engine, weights=self.weightsFolder()))

    def termsToAccept(
        self, volume: slicer.vtkMRMLScalarVolumeNode, **asked: object
    ) -> tuple[catalog.Terms, ...]:
        """The terms that must be accepted, see :meth:`acceptTerms`, before :meth:`segment` can do
        what is asked.

        :raises InputError: what is wrong with that.
        """
        return environment.open_terms(self._runs(volume, **asked).tasks)

    def downloadSize(self, volume: slicer.vtkMRMLScalarVolumeNode, **asked: object) -> int:
        """Megabytes that must be downloaded before :meth:`segment` can do what is asked."""
        runs = self._runs(volume, **asked)
        models = [model for one in runs.requests for model in engines.downloaded_models(one)]
        return environment.download_mb(environment.missing_models(models, self.weightsFolder()))

    def downloads(self) -> Callable[[], dict[str, int]]:
        """What looks which models are not here yet, for a thread of its own: task id -> megabytes
        of those at the finest speed."""
        folder = self.weightsFolder()

        def look() -> dict[str, int]:
            sizes = {}
            for task in self.availableTasks():
                models = () if task.model_folder else task.required_models(next(iter(task.speeds)))
                missing = environment.missing_models(models, folder)
                if missing:
                    sizes[task.id] = environment.download_mb(missing)
            return sizes

        return look

    def estimates(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        hardware: Hardware,
        **asked: object,
    ) -> dict[str, Estimate]:
        """What :meth:`segment` would take, for each speed that could be asked for.

        :param hardware: of this computer.
        :param asked: what is asked of the engine, as in :meth:`segment`.
        :raises SegmentationError: what is wrong with it.
        """
        return self.estimating(volume, hardware, **asked)()

    def estimating(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        hardware: Hardware,
        **asked: object,
    ) -> Callable[[], dict[str, Estimate]]:
        """What does :meth:`estimates` in a thread of its own, as it looks for models."""
        request, folder = self._request(volume, **asked), self.weightsFolder()
        grid, modality = _grid(volume, request), volume_modality(volume)
        return lambda: estimate_speeds(*grid, request, hardware, history.load(), folder, modality)

    def estimatingTasks(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        hardware: Hardware,
        **asked: object,
    ) -> Callable[[], dict[str, Estimate]]:
        """What estimates the run of each task, for a thread of its own: task id -> its estimate.

        :param hardware: of this computer.
        :param asked: as in :meth:`segment`, for all tasks: ``speed``, of which a task without it
            takes its finest one, ``device`` and ``region``.
        :raises SegmentationError: what is wrong with it.
        """
        request, folder = self._request(volume, **asked), self.weightsFolder()
        grid = _grid(volume, request)

        def look() -> dict[str, Estimate]:
            past, found = history.load(), {}
            for task in self.availableTasks():
                speed = request.speed if request.speed in task.speeds else next(iter(task.speeds))
                runs = complete(dataclasses.replace(request, task=task.id, speed=speed))
                found[task.id] = estimate(*grid, runs.requests, hardware, past, folder)
                time.sleep(self._PAUSE_S)  # the panel needs Python, too
            return found

        return look

    def _runs(self, volume: slicer.vtkMRMLScalarVolumeNode, **asked: object) -> Runs:
        return complete(self._request(volume, **asked), volume_modality(volume))

    def _shownFrame(self, volume: slicer.vtkMRMLScalarVolumeNode) -> int:
        """Which frame of a sequence a volume shows; -1 for other volumes."""
        found = find_sequence(volume)
        return found[0].GetSelectedItemNumber() if found else -1

    def segmentSequence(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        frames: str | Iterable[int] = "all",
        task: str = "",
        structures: Iterable[str] = (),
        speed: str = "normal",
        modality: str = "",
        device: str = "auto",
        output: slicer.vtkMRMLSegmentationNode | None = None,
        mode: str = "replace",
        region: Region | None = None,
        engine: str = "",
        mayDownload: bool = False,
        makeTable: bool = False,
        standardNames: bool | None = None,
        keepFiles: bool | None = None,
        anyway: bool = False,
        onEvent: Callable[[Event], None] | None = None,
        onDone: Callable[[SceneJob], None] | None = None,
        browser: slicer.vtkMRMLSequenceBrowserNode | None = None,
        **options: object,
    ) -> SegmentationJob:
        """Start segmenting the frames of a sequence, all of them by one engine process.

        The result is a sequence of segmentations in the same browser; its proxy is the output.

        :param volume: the proxy of a sequence.
        :param frames: ``all``, ``current``, or numbers from 1 as text ("3-10"); or indices from 0.
        :param browser: the browser, if several show the volume.
        :raises SegmentationError: as :meth:`segment`, and if the volume shows no sequence.
        """
        target = Target.of(volume, output, mode)
        browser = browser or self._browser(volume)
        chosen = self._chosenFrames(browser, volume, frames)
        find_output_sequence(browser, volume, output)  # refused now, not after the run
        request = self._request(
            volume, task, structures, speed, modality, device, region, engine, **options
        )
        complete(request, volume_modality(volume))  # told of before a missing engine
        settings = self._settings(mayDownload, keepFiles, anyway)
        inUse: list[VoxelsInUse] = []

        def view(one: SceneFrame) -> Frame:
            name = _("Frame {number}").format(number=one.index + 1)
            image, notices = one.view()
            inUse.append(VoxelsInUse(one.volume))
            return Frame(image, notices, name=name, raw=True, reading=inUse[-1])

        def check() -> None:
            for voxels in inUse:
                voxels.check()

        job = segment_frames(
            map(view, chosen),
            len(chosen),
            request,
            settings,
            volume_modality(volume),
            onEvent or self._log,
        )
        naming = self.useStandardSegmentNames if standardNames is None else standardNames

        def finish(results: tuple[Segmentation, ...]) -> SceneResult:
            return self._results.put_frames(results, chosen, browser, target, naming, makeTable)

        return self._pulse.follow(SegmentationJob(job, finish, check, self._pulse.idle), onDone)

    def _browser(self, volume: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSequenceBrowserNode:
        found = find_sequence(volume)
        if found is None:
            raise InputError(
                "input.not_in_sequence",
                _("The volume shows no sequence."),
                _("Choose the volume of a sequence browser, or segment it as a single volume."),
            )
        return found[0]

    def _chosenFrames(
        self,
        browser: slicer.vtkMRMLSequenceBrowserNode,
        volume: slicer.vtkMRMLScalarVolumeNode,
        frames: str | Iterable[int],
    ) -> tuple[SceneFrame, ...]:
        if frames == "all":  # those that have an image
            return read_frames(browser, volume)
        current = browser.GetSelectedItemNumber()
        return read_frames(
            browser,
            volume,
            parse_frames(
                frames if isinstance(frames, str) else tuple(frames),
                browser.GetNumberOfItems(),
                current if current >= 0 else None,
            ),
        )

    def canRestorePrevious(self, segmentation: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Whether :meth:`restorePrevious` has something to put back."""
        return self._results.can_restore(segmentation)

    def forgetRemoved(self) -> None:
        """Let go of the earlier content of segmentations that have left the scene."""
        self._results.forget_removed()

    def restorePrevious(self, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        """Undo the last run into a segmentation: one level.

        A second call brings the result back, except for sequences.

        :raises InputError: if no run of this logic changed it.
        """
        self._results.restore(segmentation)

    def _request(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        task: str = "",
        structures: Iterable[str] = (),
        speed: str = "normal",
        modality: str = "",
        device: str = "auto",
        region: Region | None = None,
        engine: str = "",
        **options: object,
    ) -> Request:
        """What is asked of an engine; see :meth:`segment`."""
        names = (structures,) if isinstance(structures, str) else tuple(structures)
        if isinstance(region, slicer.vtkMRMLMarkupsROINode):
            region = region_points(region, volume)
        return Request(
            task=task,
            engine=engine,
            structures=names,
            speed=speed,
            modality=modality,
            device=device,
            options=options,
            region=tuple(tuple(point) for point in region or ()),
        )

    def _settings(
        self, mayDownload: bool, keepFiles: bool | None = None, anyway: bool = False
    ) -> Settings:
        return Settings(
            self._engine(),
            may_download=mayDownload,
            weights=self.weightsFolder(),
            keep_files=not self.clearOutputFolder if keepFiles is None else keepFiles,
            remember_runs=True,
            usage_statistics=environment.load_settings().usage_statistics,
            fall_back=self.fallBack,
            skip_memory_check=anyway,
            hardware=self.hardware,
        )

    def process(
        self,
        inputVolume: slicer.vtkMRMLScalarVolumeNode,
        outputSegmentation: slicer.vtkMRMLSegmentationNode,
        quality: str | bool | None = None,
        cpu: bool = False,
        task: str | None = None,
        subset: Iterable[str] | None = None,
        interactive: bool = False,
        sequenceBrowserNode=None,
        fast: bool | None = None,
    ) -> None:
        """Segment a volume into an existing segmentation and wait for the end.

        :param quality: normal, fast or faster; True means fast, False normal.
        :param fast: name that early versions had for a boolean quality.
        :param subset: structures to segment only; without a task, the tasks that find them.
        :param sequenceBrowserNode: a browser that shows a sequence in the volume: all its frames
            are segmented.
        :param interactive: kept for older scripts; no dialog is ever shown.
        :raises SegmentationError: what went wrong; the segmentation is as before.
        """
        quality = fast if fast is not None else quality
        if isinstance(quality, bool) or quality is None:
            quality = "fast" if quality else "normal"
        if quality not in ("faster", *catalog.SPEEDS):
            raise InputError(
                "input.unknown_speed",
                _("There is no quality '{quality}'.").format(quality=quality),
                _("Use normal, fast or faster."),
            )
        task = task or ("" if subset else "total")
        speed = {"faster": "fastest"}.get(quality, quality)
        if task and speed not in self.getSupportedSpeeds(task):
            speed = "normal"  # as the former extension did
        start = self.segment
        if sequenceBrowserNode is not None:
            start = functools.partial(self.segmentSequence, browser=sequenceBrowserNode)
        start(
            inputVolume,
            task=task,
            structures=subset or (),
            speed=speed,
            device="cpu" if cpu else "auto",
            output=outputSegmentation,
            mayDownload=True,
            **self._optionsOf(task),
        ).wait()

    def _optionsOf(self, task: str) -> dict[str, bool]:
        """The engine options that are attributes of the logic, as far as the task has them."""
        values = {
            "robust_crop": self.robustCrop,
            "remove_small_blobs": self.removeSmallBlobs,
            "higher_order_resampling": self.higherOrderResampling,
        }
        chosen = {name: True for name, value in values.items() if value}
        if not task:
            return chosen
        request = Request(task=task, engine=catalog.task(task).engine)
        offered = {option.name for option in engines.options_of(request)}
        return {name: True for name in chosen if name in offered}


#
# TotalSegmentatorTest
#
class TotalSegmentatorTest(ScriptedLoadableModuleTest):
    """Quick checks inside Slicer; those of a run need the engine, and the sample CT from PyPI."""

    RUN_TIMEOUT_S = 300

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """What the developer's button *Reload and Test* does."""
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            self.setUp()
            try:
                getattr(self, name)()
            except unittest.SkipTest as reason:
                logging.warning("%s: skipped, %s", name, reason)

    def test_catalogue(self) -> None:
        """Every structure of the task total has a name and a colour."""
        logic = TotalSegmentatorLogic()
        terminology = logic.totalSegmentatorLabelTerminology
        classes = catalog.task("total").labels.values()
        self.assertEqual(len(set(classes)), 117)
        names = {logic.getSegmentLabelColor(terminology[name])[0] for name in classes}
        self.assertEqual(len(names), 117)

    def test_wrongTaskChangesNothing(self) -> None:
        """A task that does not exist is refused before anything happens."""
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        before = slicer.mrmlScene.GetNumberOfNodes()
        logic = TotalSegmentatorLogic()
        with self.assertRaises(InputError) as caught:
            logic.segment(volume, task="nonsense")
        self.assertEqual(caught.exception.code, "input.unknown_task")
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_script(self) -> None:
        """The demo model finds the organs of the sample CT, and undo takes them back."""
        logic, volume = self._readyLogic(), self._sampleVolume()
        segmentation = logic.segment(volume, task="demo", structures=["liver"]).wait()
        logic.segment(volume, task="demo", output=segmentation, mode="append").wait()
        self._checkOrgans(segmentation, volume)
        logic.restorePrevious(segmentation)
        self.assertEqual(list(segmentation.GetSegmentation().GetSegmentIDs()), ["liver"])

    def test_apply(self) -> None:
        """A click on Apply brings a segmentation, and the panel tells what was found."""
        self._readyLogic()
        volume = self._sampleVolume()
        slicer.util.selectModule("TotalSegmentator")
        panel = slicer.modules.TotalSegmentatorWidget
        panel.selectVolume(volume)
        panel.setParameter("task", "demo")
        panel.ui.applyButton.click()
        self.assertTrue(panel.busy, panel.ui.errorLabel.text)
        end = time.monotonic() + self.RUN_TIMEOUT_S
        while panel.busy and time.monotonic() < end:
            slicer.app.processEvents()
        segmentation = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        self.assertIsNotNone(segmentation, panel.ui.errorLabel.text)
        self._checkOrgans(segmentation, volume)
        self.assertGreater(panel.ui.resultsTree.topLevelItemCount, 25)

    def _readyLogic(self) -> "TotalSegmentatorLogic":
        logic = TotalSegmentatorLogic()
        if not logic.isEngineReady():
            self.skipTest("the engine is not installed")
        return logic

    def _sampleVolume(self) -> slicer.vtkMRMLScalarVolumeNode:
        from TotalSegmentatorWidgets import SampleVolume

        try:
            (volume,) = SampleVolume.load()
        except SegmentationError as error:
            self.skipTest(str(error))
        return volume

    def _checkOrgans(
        self, segmentation: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLScalarVolumeNode
    ) -> None:
        """The liver has its name, its code and a plausible volume, and lies in the volume."""
        liver = segmentation.GetSegmentation().GetSegment("liver")
        self.assertEqual(liver.GetName(), "Liver")
        self.assertIn("10200004", liver.GetTerminology())
        array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "liver", volume)
        spacing = volume.GetSpacing()
        milliliters = array.sum() * spacing[0] * spacing[1] * spacing[2] / 1000
        self.assertGreater(milliliters, 800)
        self.assertLess(milliliters, 1600)
        inside = slicer.util.arrayFromVolume(volume)[array > 0]
        self.assertTrue(30 < inside.mean() < 130, inside.mean())
