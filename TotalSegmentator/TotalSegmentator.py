"""The Slicer module TotalSegmentator: what speaks Slicer. All else is in TotalSegmentatorLib."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

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
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from TotalSegmentatorLib import catalog, environment, jobs, scene
from TotalSegmentatorLib.environment import EngineEnvironment, Observer
from TotalSegmentatorLib.errors import (
    CancelledError,
    InputError,
    SegmentationError,
    SetupError,
    internal_error,
)
from TotalSegmentatorLib.images import Layer, same_grid
from TotalSegmentatorLib.images.frames import parse_frames
from TotalSegmentatorLib.jobs import Event, Job, Request
from TotalSegmentatorLib.report import provenance_texts
from TotalSegmentatorLib.runs import check, complete
from TotalSegmentatorLib.scene import (
    IMPORT_MODES,
    Snapshot,
    check_import,
    fill_table,
    find_output_sequence,
    find_sequence,
    import_frames,
    import_layers,
    read_frames,
    read_volume,
    restore_snapshot,
    take_snapshot,
    volume_modality,
    volume_to_image,
)
from TotalSegmentatorLib.segment import Frame, Segmentation, segment, segment_frames
from TotalSegmentatorLib.session import Settings

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
            "a task, then click Apply."
        )
        parent.acknowledgementText = _(
            "Uses TotalSegmentator. If you publish results, please cite: Wasserthal J. et al., "
            "TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images, "
            "Radiology: Artificial Intelligence 2023, https://doi.org/10.1148/ryai.230024, and "
            "nnU-Net: Isensee F. et al., Nature Methods 2021, "
            "https://doi.org/10.1038/s41592-020-01008-z."
        )
        slicer.app.connect("startupCompleted()", self.loadTerminology)

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
    :param frames: frames to segment, if the volume shows a sequence: all, current, or numbers.
    :param outputSegmentation: receives the result; None means a new one.
    :param task: task id of the catalogue.
    :param speed: normal, fast or fastest.
    :param useStandardSegmentNames: names for people instead of class names.
    :param cpu: use the CPU even if there is a GPU.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    outputSegmentation: slicer.vtkMRMLSegmentationNode
    frames: str = "all"
    task: str = "total"
    speed: str = "normal"
    useStandardSegmentNames: bool = True
    cpu: bool = False


#
# TotalSegmentatorWidget
#
class TotalSegmentatorWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows the parameter node and follows one run at a time."""

    POLL_INTERVAL_MSEC = 20

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._run = None
        self._whenDone = None
        self._warnings = []
        self._timer = None

    def setup(self) -> None:
        import qt

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/TotalSegmentator.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = TotalSegmentatorLogic()
        for task in self.logic.availableTasks():
            self.ui.taskComboBox.addItem(task.title, task.id)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.POLL_INTERVAL_MSEC)
        self._timer.connect("timeout()", self.onPoll)
        self.ui.taskComboBox.connect("currentIndexChanged(int)", self.onTaskSelected)
        self.ui.speedComboBox.connect("currentIndexChanged(int)", self.onSpeedSelected)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self.ui.undoButton.connect("clicked(bool)", self.onUndoButton)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        self.onCancelButton()
        self._timer.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()

    def exit(self) -> None:
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        self.onCancelButton()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        self.logic.forgetRemoved()
        if self.parent.isEntered:
            self.initializeParameterNode()

    # Parameter node

    def initializeParameterNode(self) -> None:
        """Show the scene's parameter node; select a volume if none is."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            # The exact class, as in the selector: labelmap volumes are scalar volumes too.
            for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
                if volume.GetClassName() == "vtkMRMLScalarVolumeNode":
                    self._parameterNode.inputVolume = volume
                    break

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

    def updateGui(self, caller=None, event=None) -> None:
        """Show what the parameter node's wrapper does not connect by itself.

        The task and speed combo boxes show titles, and keep the ids as item data.
        """
        parameters = self._parameterNode
        if not parameters:
            return
        index = self.ui.taskComboBox.findData(parameters.task)
        if index >= 0 and index != self.ui.taskComboBox.currentIndex:
            self.ui.taskComboBox.currentIndex = index
        self._showSpeeds(parameters.task, parameters.speed)
        self.ui.show3DButton.setSegmentationNode(parameters.outputSegmentation)
        running = self._run is not None
        self._showFrames(parameters.inputVolume)
        self.ui.undoButton.enabled = not running and self.logic.canRestorePrevious(
            parameters.outputSegmentation
        )
        self.ui.applyButton.enabled = bool(parameters.inputVolume) and not running
        self.ui.applyButton.toolTip = (
            _("Start the segmentation.") if parameters.inputVolume else _("Choose a volume first.")
        )
        self.ui.cancelButton.enabled = running
        self.ui.inputsCollapsibleButton.enabled = not running
        self.ui.outputsCollapsibleButton.enabled = not running

    def _showFrames(self, volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Frames can be chosen if the volume shows a sequence."""
        isSequence = volume is not None and find_sequence(volume) is not None
        self.ui.framesLabel.visible = isSequence
        self.ui.framesLineEdit.visible = isSequence

    def _showSpeeds(self, task: str, speed: str) -> None:
        titles = {"normal": _("Normal"), "fast": _("Fast"), "fastest": _("Fastest")}
        box = self.ui.speedComboBox
        speeds = self.logic.getSupportedSpeeds(task)
        wasBlocked = box.blockSignals(True)
        if [box.itemData(i) for i in range(box.count)] != speeds:
            box.clear()
            for name in speeds:
                box.addItem(titles[name], name)
        box.currentIndex = max(box.findData(speed), 0)
        box.blockSignals(wasBlocked)
        box.enabled = len(speeds) > 1

    def onTaskSelected(self, index: int) -> None:
        if self._parameterNode and index >= 0:
            self._parameterNode.task = self.ui.taskComboBox.itemData(index)

    def onSpeedSelected(self, index: int) -> None:
        if self._parameterNode and index >= 0:
            self._parameterNode.speed = self.ui.speedComboBox.itemData(index)

    # A run

    def onApplyButton(self, checked: bool = False) -> None:
        """Make the engine ready if it is not, then segment."""
        self.ui.logTextEdit.clear()
        try:
            self._apply(self._parameterNode)
        except SegmentationError as error:
            self.showError(error)

    def _apply(self, parameters: TotalSegmentatorParameterNode) -> None:
        """:param parameters: those of the click; the panel may have been left since."""
        if not self.logic.isEngineReady():
            question = _(
                "PyTorch and TotalSegmentator must be installed (up to {size} GB)."
            ).format(size=round(environment.engine.recipe().needed_gb))
            if self.confirm(question):
                setup = self.logic.startSetup(self.onEvent)
                self._follow(setup, lambda versions: self._apply(parameters))
            return
        self.logic.useStandardSegmentNames = parameters.useStandardSegmentNames
        options = {
            "task": parameters.task,
            "speed": self._offeredSpeed(parameters),
            "device": "cpu" if parameters.cpu else "auto",
            "output": parameters.outputSegmentation,
            "makeTable": True,
            "onEvent": self.onEvent,
        }
        if find_sequence(parameters.inputVolume):
            start = self.logic.segmentSequence
            options["frames"] = parameters.frames
        else:
            start = self.logic.segment
        try:
            run = start(parameters.inputVolume, **options)
        except SetupError as error:
            question = error.message + " " + _("Download them now?")
            if error.code != "weights.missing" or not self.confirm(question):
                raise
            run = start(parameters.inputVolume, mayDownload=True, **options)
        self._follow(run, lambda node: self._showResult(parameters, node, run.reports))

    def _offeredSpeed(self, parameters: TotalSegmentatorParameterNode) -> str:
        """The speed, or the first one of a task that does not offer it (as the panel shows)."""
        speeds = self.logic.getSupportedSpeeds(parameters.task)
        return parameters.speed if parameters.speed in speeds else speeds[0]

    def confirm(self, text: str) -> bool:
        """Ask whether something may be installed or downloaded."""
        return slicer.util.confirmOkCancelDisplay(text, _("Continue?"))

    def _follow(self, run: "SegmentationRun | Job", whenDone: Callable) -> None:
        self._run, self._whenDone, self._warnings = run, whenDone, []
        self.showProgress(0.0, None)
        self.updateGui()
        self._timer.start()

    def onPoll(self) -> None:
        """Take the events that came, and end the run if it has ended."""
        if self._run is None or self._run.poll():
            return
        run, whenDone = self._run, self._whenDone
        self._timer.stop()
        self._run, self._whenDone = None, None
        self.updateGui()
        try:
            whenDone(run.result)
        except SegmentationError as error:
            self.showError(error)

    def _showResult(
        self,
        parameters: TotalSegmentatorParameterNode,
        node: slicer.vtkMRMLSegmentationNode,
        reports: Iterable[dict],
    ) -> None:
        parameters.outputSegmentation = node
        self.updateGui()  # also if it was this node before
        self.ui.show3DButton.setSegmentationNode(node)
        self.showProgress(1.0, None)
        found, frames = node.GetSegmentation().GetNumberOfSegments(), 0
        if reports:
            found = sum(structure["found"] for structure in reports[0]["structures"])
            frames = len(reports) if find_sequence(node) else 0
        done = _("Done: {count} structures found.").format(count=found)
        if frames:
            done = _("Done: {count} frames segmented.").format(count=frames)
        self.ui.statusLabel.text = " ".join([done, *self._warnings])

    def onCancelButton(self, checked: bool = False) -> None:
        """Ask the run to stop; the panel follows it until nothing of it is left."""
        if self._run is None:
            return
        self._run.cancel()
        self.ui.statusLabel.text = _("Stopping...")
        self.ui.cancelButton.enabled = False

    def onUndoButton(self, checked: bool = False) -> None:
        """Put back what the output held before the last run."""
        try:
            self.logic.restorePrevious(self._parameterNode.outputSegmentation)
            self.ui.statusLabel.text = _("What the segmentation held before is back.")
        except SegmentationError as error:
            self.showError(error)
        self.updateGui()

    def onEvent(self, event: Event) -> None:
        """Show what a run tells."""
        if isinstance(event, jobs.Stage):
            self.ui.statusLabel.text = event.text
            self.addLog(event.text)
        elif isinstance(event, jobs.Progress):
            self.showProgress(event.fraction, event.seconds_left)
        elif isinstance(event, jobs.Warned):
            self._warnings.append(event.message)
            self.addLog(_("Warning: {message}").format(message=event.message))
        elif isinstance(event, jobs.Log):
            self.addLog(event.text)

    def showProgress(self, fraction: float, secondsLeft: float | None) -> None:
        """Set the bar; ``%`` is Qt's own sign for the percentage."""
        bar = self.ui.progressBar
        bar.value = round(fraction * bar.maximum)
        bar.format = "%p%"
        if secondsLeft is not None:
            minutes, seconds = divmod(round(secondsLeft), 60)
            bar.format = "%p% - " + _("{minutes}:{seconds} left").format(
                minutes=minutes, seconds=f"{seconds:02d}"
            )

    def showError(self, error: SegmentationError) -> None:
        """Show what is wrong and what to do, without a dialog."""
        self.showProgress(0.0, None)
        self.ui.statusLabel.text = str(error)
        self.addLog(f"{error} [{error.code}]")
        if error.details:
            logging.info(error.details)

    def addLog(self, text: str) -> None:
        """Append a line to the log."""
        self.ui.logTextEdit.appendPlainText(text)


#
# SegmentationRun
#
class SegmentationRun:
    """A run whose result goes into the scene, once, on the thread that polls."""

    def __init__(
        self,
        job: Job[tuple[Segmentation, ...]] | Job[Segmentation],
        finish: Callable[..., slicer.vtkMRMLSegmentationNode],
    ) -> None:
        """:param finish: puts the job's result into the scene and returns the node."""
        self.reports: list[dict] = []
        self._job = job
        self._finish = finish
        self._cancelled = False
        self._node = None
        self._error: SegmentationError | None = None
        self._progress = jobs.Progress()

    def poll(self) -> bool:
        """Deliver events; True while the run goes on."""
        if self._job is None:
            return False
        if not self._job.poll():
            try:
                if self._cancelled:  # also after the job's last look at it
                    raise CancelledError()
                result = self._job.result
                self._node = self._finish(result)
                frames = result if isinstance(result, tuple) else (result,)
                self.reports = [dict(frame.report) for frame in frames]
            except SegmentationError as error:
                self._error = error
            except Exception as error:
                self._error = internal_error(error)
            self._progress = self._job.progress
            self._job = None  # whoever keeps the run must not keep the voxels
        return self._job is not None

    def wait(self):
        """Wait for the end and return the segmentation node.

        :raises SegmentationError: what went wrong; the scene is as before.
        """
        if self._job is not None:
            try:
                self._job.wait()
            except SegmentationError:
                pass  # poll() keeps it
            self.poll()
        return self.result

    def cancel(self) -> None:
        """Stop the run; it ends soon after, and the scene stays as it is."""
        self._cancelled = True
        if self._job is not None:
            self._job.cancel()

    @property
    def progress(self) -> jobs.Progress:
        """How far the run is."""
        return self._job.progress if self._job is not None else self._progress

    @property
    def result(self):
        """The segmentation node of an ended run."""
        if self._error:
            raise self._error
        return self._node


#
# Target
#
@dataclasses.dataclass(frozen=True)
class Target:
    """Where a result goes.

    :param scene: that of the nodes.
    :param volume: what is segmented.
    :param output: receives the result; None for a new node.
    :param mode: what happens to the output's earlier segments.
    """

    scene: slicer.vtkMRMLScene
    volume: slicer.vtkMRMLScalarVolumeNode
    output: slicer.vtkMRMLSegmentationNode | None
    mode: str

    @classmethod
    def of(
        cls,
        volume: slicer.vtkMRMLScalarVolumeNode | None,
        output: slicer.vtkMRMLSegmentationNode | None,
        mode: str,
    ) -> "Target":
        """
        :raises InputError: if the nodes or the mode are not what they must be.
        """
        scene = volume.GetScene() if volume else None
        if scene is None:
            raise InputError(
                "input.no_volume", "No volume of a scene is given.", "Choose a volume."
            )
        if mode not in IMPORT_MODES:
            raise InputError(
                "input.unknown_mode",
                f"There is no mode '{mode}'.",
                f"Use one of: {', '.join(IMPORT_MODES)}.",
            )
        if output is not None and (
            not output.IsA("vtkMRMLSegmentationNode") or output.GetScene() is not scene
        ):
            raise InputError(
                "output.not_a_segmentation",
                "The output is no segmentation of the volume's scene.",
                "Choose a segmentation, or none for a new one.",
            )
        return cls(scene, volume, output, mode)

    def checkSingle(self) -> None:
        """
        :raises InputError: if a single result cannot be put into the output.
        """
        if find_sequence(self.output):
            # The sequence would take the result for the frame that is shown, or drop it.
            raise InputError(
                "output.in_a_sequence",
                "The segmentation shows a sequence.",
                "Choose another one, or segment the frames of the volume's sequence.",
            )
        if self.output is not None:
            check_import(self.output, self.volume, self.mode)

    def check(self) -> None:
        """
        :raises InputError: if a node was removed in the meantime.
        """
        # The nodes themselves: ids are used again, by another patient's volume for example.
        if not all(self.scene.IsNodePresent(node) for node in (self.volume, self.output) if node):
            raise InputError(
                "input.node_removed",
                "The volume or the segmentation was removed from the scene during the run.",
                "Run again.",
            )

    def newName(self, banner: str) -> str:
        """Name of a new segmentation."""
        return f"{self.volume.GetName()} segmentation" + (" (demo)" if banner else "")

    def addNode(self, nodeClass: str, name: str) -> slicer.vtkMRMLNode:
        """A new node with this name, or the next that is free."""
        return self.scene.AddNewNodeByClass(nodeClass, self.scene.GenerateUniqueName(name))


#
# TotalSegmentatorLogic
#
class TotalSegmentatorLogic(ScriptedLoadableModuleLogic):
    """Segments volume nodes; also for scripts, without the panel and without Qt.

    The new calls are :meth:`segment` and :meth:`startSetup`. The others keep the names that
    scripts for the former extension use.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.logCallback: Callable[[str], None] | None = None
        self.clearOutputFolder = True
        self.useStandardSegmentNames = True
        self.robustCrop = False
        self.removeSmallBlobs = False
        self.higherOrderResampling = False
        self.totalSegmentatorWeightsPath: str | None = None
        self.enginePython: str | None = None
        self._previous: dict[slicer.vtkMRMLSegmentationNode, Callable[[], None]] = {}

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

    # Engine

    def _startupVariables(self) -> dict[str, str] | None:
        """The variables Slicer was started with: its own library paths break another Python.

        Slicer without an application (slicer-core) has none of its own.
        """
        if not hasattr(slicer, "app") or not hasattr(slicer.app, "startupEnvironment"):
            return None
        return slicer.util.startupEnvironment()

    def _engine(self) -> EngineEnvironment:
        python = Path(self.enginePython) if self.enginePython else None
        return environment.find_engine(python, self._startupVariables())

    def isEngineReady(self) -> bool:
        """Whether PyTorch and TotalSegmentator are installed."""
        return bool(self.enginePython) or environment.is_ready(environment.default_folder())

    def startSetup(self, onEvent: Callable[[Event], None] | None = None) -> Job[dict[str, str]]:
        """Start installing PyTorch and TotalSegmentator apart from Slicer's own Python."""

        variables = self._startupVariables()

        def work(context: jobs.JobContext) -> dict[str, str]:
            def onStep(share: float, text: str) -> None:
                context.emit(jobs.Stage(text))
                context.emit(jobs.Progress(share))

            observer = Observer(
                on_step=onStep,
                on_line=lambda line: context.emit(jobs.Log(line)),
                cancelled=context.cancelled.is_set,
            )
            return environment.make_engine(observer=observer, variables=variables)

        return Job(work, onEvent or self._log).start()

    def setupPythonRequirements(self, upgrade: bool = False) -> None:
        """Install PyTorch and TotalSegmentator if they are not there, and wait for the end.

        :param upgrade: kept for older scripts; an outdated environment is always made anew.
        """
        self.startSetup().wait()

    def setLicense(self, licenseStr: str) -> None:
        """Check a TotalSegmentator licence number online and store it.

        :raises SegmentationError: if it is not accepted.
        """
        environment.store_licence(self._engine(), licenseStr)

    def _log(self, event: Event) -> None:
        text = getattr(event, "text", None) or getattr(event, "message", None)
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
        mayDownload: bool = False,
        makeTable: bool = False,
        onEvent: Callable[[Event], None] | None = None,
        **options: object,
    ) -> SegmentationRun:
        """Start segmenting a volume and return at once.

        :param task: task id; empty: the tasks that find the structures, or the whole body.
        :param structures: names of structures or of groups ("lungs"); empty: all of the task.
        :param modality: CT or MR, if the scene does not know it; chooses the tasks.
        :param output: receives the result at the end; None makes a new node then.
        :param mode: what happens to earlier segments of the output: ``replace`` removes them,
            ``append`` keeps them, ``update`` replaces those that are found again, and removes
            those of earlier runs that were looked for in vain.
        :param mayDownload: whether missing weights may be downloaded.
        :param makeTable: whether the scene gets a table of what was found, too.
        :param onEvent: receives the events when the run is polled or waited for.
        :param options: options of the task's engine, e.g. ``robust_crop=True``.
        :raises SegmentationError: if the volume or what is asked cannot be done; nothing has begun.
        """
        target = Target.of(volume, output, mode)
        target.checkSingle()
        request = self._request(task, structures, speed, modality, device, options)
        runs = complete(request, volume_modality(volume))  # told of before a missing engine
        settings = self._settings(mayDownload)
        check(runs, settings)  # before voxels are read
        image, notices = read_volume(volume)
        if not image.array.flags.owndata:
            image = image.with_array(image.array.copy())  # edits during the run must not reach it
        onEvent = onEvent or self._log
        job = segment(image, request, settings, notices, onEvent)
        shown = self._shownFrame(volume)

        def finish(result: Segmentation) -> slicer.vtkMRMLSegmentationNode:
            node = self._finish(result, target, makeTable)
            if self._shownFrame(volume) != shown:
                text = _("The volume shows another frame than when the run began.")
                onEvent(jobs.Warned("input.frame_changed", text))
            return node

        return SegmentationRun(job, finish)

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
        mayDownload: bool = False,
        makeTable: bool = False,
        onEvent: Callable[[Event], None] | None = None,
        browser: slicer.vtkMRMLSequenceBrowserNode | None = None,
        **options: object,
    ) -> SegmentationRun:
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
        request = self._request(task, structures, speed, modality, device, options)
        complete(request, volume_modality(volume))  # told of before a missing engine
        settings = self._settings(mayDownload)
        job = segment_frames(
            (Frame(*one.read(), name=f"Frame {one.index + 1}") for one in chosen),
            len(chosen),
            request,
            settings,
            volume_modality(volume),
            onEvent or self._log,
        )
        return SegmentationRun(
            job, lambda results: self._finishFrames(results, chosen, browser, target, makeTable)
        )

    def _browser(self, volume: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSequenceBrowserNode:
        found = find_sequence(volume)
        if found is None:
            raise InputError(
                "input.not_in_sequence",
                "The volume shows no sequence.",
                "Choose the volume of a sequence browser, or segment it as a single volume.",
            )
        return found[0]

    def _chosenFrames(
        self,
        browser: slicer.vtkMRMLSequenceBrowserNode,
        volume: slicer.vtkMRMLScalarVolumeNode,
        frames: str | Iterable[int],
    ) -> tuple[scene.Frame, ...]:
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

    def _finishFrames(
        self,
        results: tuple[Segmentation, ...],
        frames: tuple[scene.Frame, ...],
        browser: slicer.vtkMRMLSequenceBrowserNode,
        target: Target,
        makeTable: bool,
    ) -> slicer.vtkMRMLSegmentationNode:
        """Put the results of frames into their browser."""
        target.check()
        for frame, result in zip(frames, results, strict=True):
            if not same_grid(volume_to_image(frame.volume), result.layers[0].labels):
                raise InputError(
                    "input.volume_changed", "The volume was changed during the run.", "Run again."
                )
        imported = import_frames(
            zip(frames, map(self._layers, results), strict=True),
            browser,
            target.volume,
            target.output,
            name=target.newName(results[0].banner),
            mode=target.mode,
            provenance=provenance_texts(results[0].report),
        )
        node = imported.segmentation_node
        if makeTable:
            table = target.addNode("vtkMRMLTableNode", f"{node.GetName()} report")
            numbers = [frame.index + 1 for frame in frames]
            fill_table([result.report for result in results], table, numbers)
        if target.output is not None:
            self._previous[node] = lambda: self._forget(node, imported.undo)
        return node

    def canRestorePrevious(self, segmentation: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Whether :meth:`restorePrevious` has something to put back."""
        self.forgetRemoved()
        return segmentation in self._previous

    def forgetRemoved(self) -> None:
        """Let go of the earlier content of segmentations that have left the scene."""
        for node in [node for node in self._previous if node.GetScene() is None]:
            del self._previous[node]

    def restorePrevious(self, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        """Undo the last run into a segmentation: one level.

        A second call brings the result back, except for sequences.

        :raises InputError: if no run of this logic changed it.
        """
        if not self.canRestorePrevious(segmentation):
            raise InputError(
                "input.nothing_to_restore",
                "Nothing is remembered of what the segmentation held before.",
                "Only the last run's result can be undone, and only once it has ended.",
            )
        self._previous[segmentation]()

    def _remember(self, node: slicer.vtkMRMLSegmentationNode, snapshot: Snapshot) -> None:
        """Offer to put a snapshot back; the node holds a result now."""
        place = node.GetTransformNodeID()

        def restore() -> None:
            if find_sequence(node):
                del self._previous[node]  # its frames would be written over
                raise InputError(
                    "output.in_a_sequence",
                    "The segmentation shows a sequence by now.",
                    "Use the sequence's frames; the earlier content cannot be put back.",
                )
            moved = node.GetTransformNodeID()
            self._remember(node, restore_snapshot(node, snapshot))
            if moved != place:  # by the user, since the run
                node.SetAndObserveTransformNodeID(moved)

        self._previous[node] = restore

    def _forget(self, node: slicer.vtkMRMLSegmentationNode, undo: Callable[[], None]) -> None:
        del self._previous[node]
        undo()

    def _request(
        self,
        task: str,
        structures: Iterable[str],
        speed: str,
        modality: str,
        device: str,
        options: dict[str, object],
    ) -> Request:
        names = (structures,) if isinstance(structures, str) else tuple(structures)
        return Request(
            task=task,
            structures=names,
            speed=speed,
            modality=modality,
            device=device,
            options=options,
        )

    def _settings(self, mayDownload: bool) -> Settings:
        weights = self.totalSegmentatorWeightsPath
        return Settings(
            self._engine(),
            may_download=mayDownload,
            weights=Path(weights) if weights else None,
            keep_files=not self.clearOutputFolder,
        )

    def _finish(
        self, result: Segmentation, target: Target, makeTable: bool
    ) -> slicer.vtkMRMLSegmentationNode:
        """Put a result into the scene, whose nodes may have gone in the meantime."""
        target.check()
        target.checkSingle()
        if not same_grid(volume_to_image(target.volume), result.layers[0].labels):
            raise InputError(
                "input.volume_changed", "The volume was changed during the run.", "Run again."
            )
        made = []
        try:
            node = target.output
            if node is None:
                node = target.addNode("vtkMRMLSegmentationNode", target.newName(result.banner))
                made.append(node)
            if makeTable:
                table = target.addNode("vtkMRMLTableNode", f"{node.GetName()} report")
                made.append(table)
                fill_table([result.report], table)
            before = take_snapshot(node)
            provenance = provenance_texts(result.report)
            import_layers(self._layers(result), node, target.volume, target.mode, provenance)
        except Exception:
            for node in made:
                target.scene.RemoveNode(node)
            raise
        if target.output is not None:
            self._remember(node, before)
        return node

    def _layers(self, result: Segmentation) -> list[Layer]:
        """The layers with the names that the user wants."""
        if self.useStandardSegmentNames:
            return list(result.layers)
        return [
            dataclasses.replace(
                layer, segments=tuple(dataclasses.replace(s, name=s.id) for s in layer.segments)
            )
            for layer in result.layers
        ]

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
        """The engine options that are attributes of the logic, as far as the engine has them."""
        if task and catalog.task(task).engine != "totalsegmentator":
            return {}
        return {
            "robust_crop": self.robustCrop,
            "remove_small_blobs": self.removeSmallBlobs,
            "higher_order_resampling": self.higherOrderResampling,
        }


#
# TotalSegmentatorTest
#
class TotalSegmentatorTest(ScriptedLoadableModuleTest):
    """Quick checks inside Slicer, without network and without an installed engine."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_catalogue()
        self.setUp()
        self.test_wrongTaskChangesNothing()

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
