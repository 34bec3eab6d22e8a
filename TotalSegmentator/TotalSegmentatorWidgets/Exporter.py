"""A segmentation as files: labels and surfaces, and DICOM in Slicer's database."""

import functools
import queue
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Protocol

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib.errors import InputError, SegmentationError, internal_error
from TotalSegmentatorLib.images.mesh_files import (
    Mesh,
    safe_file_names,
    write_glb,
    write_obj,
    write_stl,
)
from TotalSegmentatorLib.jobs import Job, JobContext, Progress, Stage
from TotalSegmentatorLib.scene import SceneJob
from TotalSegmentatorLib.scene.exports import surface_meshes, take_labelmaps, write_labels
from TotalSegmentatorLib.scene.surfaces import SurfaceBuilder

from .ConsentDialog import Begin

_FOLDER_KEY = "TotalSegmentator/ExportFolder"
_LABELMAP_KEY = "TotalSegmentator/DicomLabelmap"
_STEP_S = 0.02  # of each poll for surfaces; a step may take as long again
_LOOK_S = 0.05
_SHARE_OF_SURFACES = 0.8

Written = tuple[Path, ...]
MeshWriter = Callable[[Sequence[Mesh]], Written]


class ExportHooks(Protocol):
    """What the panel does for exports."""

    def start(self, job: Job[Written], whenDone: Callable[[Job[Written]], None]) -> None:
        """Start a job that was not started yet, poll it, show its events and its error.

        :param whenDone: called once when the job has ended, well or not.
        """

    def follow(self, begin: Begin, whenDone: Callable[[SceneJob], None]) -> None:
        """Do the same with a job of the logic, which ``begin`` starts.

        :raises SegmentationError: what ``begin`` raises.
        """

    def say(self, text: str) -> None:
        """Show a sentence."""

    def showError(self, error: SegmentationError) -> None:
        """Show an error that came before there was a job."""


class Exporter:
    """The export buttons. Questions first, then the work in a thread; one export at a time.

    :param ui: the panel's widgets.
    :param logic: the module's logic.
    :param hooks: what the panel does.
    """

    def __init__(self, ui, logic, hooks: ExportHooks) -> None:
        self._logic = logic
        self._hooks = hooks
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._busy = False
        self._atEnd: Callable[[], None] = lambda: None
        self._labelmapBox = ui.dicomLabelmapCheckBox
        self._buttons = (
            ui.exportDicomButton,
            ui.exportNiftiButton,
            ui.exportStlButton,
            ui.exportObjButton,
            ui.exportGltfButton,
        )
        actions = (
            self._saveToDicom,
            self._exportNifti,
            self._exportStl,
            self._exportObj,
            self._exportGltf,
        )
        for button, action in zip(self._buttons, actions, strict=True):
            button.connect("clicked()", functools.partial(self._ifThere, action))
        self._labelmapBox.checked = slicer.util.settingsValue(
            _LABELMAP_KEY, False, converter=slicer.util.toBool
        )
        self._labelmapBox.connect("clicked(bool)", self._onLabelmapClicked)
        self._update()

    def setNode(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Choose what is exported; None for nothing."""
        self._node = segmentationNode
        self._update()

    def _update(self) -> None:
        possible = self._node is not None and not self._busy
        for button in self._buttons:
            button.enabled = possible

    def _ifThere(self, action: Callable[[], None]) -> None:
        """Do what a button is for, unless the segmentation has left the scene."""
        if self._node.GetScene() is not None:
            action()
            return
        self.setNode(None)
        self._hooks.showError(
            InputError(
                "input.node_removed",
                _("The segmentation is no longer in the scene."),
                _("Choose another one."),
            )
        )

    # Questions

    def _exportNifti(self) -> None:
        chosen = self._askFile(_("Export labels"), _("NIfTI"), (".nii.gz", ".nii"))
        if chosen is None:
            return
        path, overwrite = chosen
        try:
            labelmaps = take_labelmaps(self._node)
        except SegmentationError as error:
            self._hooks.showError(error)
            return
        stage = _("Writing the labels")

        def work(context: JobContext) -> Written:
            context.emit(Stage(stage))
            layers = labelmaps.on_one_grid()
            context.check()
            write_labels(layers, path, overwrite)
            return (path,)

        self._start(Job(work))

    def _exportObj(self) -> None:
        chosen = self._askFile(_("Export surfaces"), _("OBJ"), (".obj",))
        if chosen is not None:
            path, overwrite = chosen
            self._exportMeshes(lambda meshes: write_obj(meshes, path, overwrite))

    def _exportGltf(self) -> None:
        chosen = self._askFile(_("Export surfaces"), _("glTF"), (".glb",))
        if chosen is not None:
            path, overwrite = chosen

            def write(meshes: Sequence[Mesh]) -> Written:
                write_glb(meshes, path, overwrite)
                return (path,)

            self._exportMeshes(write)

    def _exportStl(self) -> None:
        parent = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Export surfaces into a new folder"), str(_lastFolder())
        )
        if parent:
            _rememberFolder(Path(parent))
            folder = _newFolder(Path(parent), self._fileName())
            self._exportMeshes(lambda meshes: _writeStl(meshes, folder))

    def _askFile(self, title: str, kind: str, suffixes: Sequence[str]) -> tuple[Path, bool] | None:
        """The file to write, and whether it may be replaced; None if people changed their minds.

        The dialog asks before it returns a file that is there. It does not know of a suffix that
        is added afterwards.
        """
        proposal = _lastFolder() / f"{self._fileName()}{suffixes[0]}"
        patterns = " ".join(f"*{suffix}" for suffix in suffixes)
        answer = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), title, str(proposal), f"{kind} ({patterns})"
        )
        if not answer:
            return None
        path = Path(answer)
        _rememberFolder(path.parent)
        if path.name.lower().endswith(tuple(suffixes)):
            return path, path.exists()
        return path.with_name(f"{path.name}{suffixes[0]}"), False

    def _fileName(self) -> str:
        return safe_file_names([self._node.GetName() or ""])[0]

    # Work

    def _exportMeshes(self, write: MeshWriter) -> None:
        try:
            export = _MeshExport(self._node, write)
        except SegmentationError as error:
            self._hooks.showError(error)
            return
        self._start(Job(export.work, on_poll=export.step), export.close)

    def _start(self, job: Job[Written], atEnd: Callable[[], None] = lambda: None) -> None:
        self._busy = True
        self._atEnd = atEnd
        self._update()
        self._hooks.start(job, self._onDone)

    def stop(self) -> None:
        """Build no surfaces any more, when nobody will tell that the job has ended."""
        self._atEnd()

    def _onDone(self, job: Job[Written]) -> None:
        self._atEnd()
        self._busy = False
        self._update()
        if job.error is not None:
            return
        files = job.result
        if len(files) == 1:
            text = _("Written: {path}").format(path=files[0])
        else:
            text = _("{count} files written to {folder}").format(
                count=len(files), folder=files[0].parent
            )
        self._hooks.say(text)

    # DICOM

    def _saveToDicom(self) -> None:
        begin = functools.partial(
            self._logic.startSaveToDICOM, self._node, labelmap=self._labelmapBox.checked
        )
        try:
            self._hooks.follow(lambda onEvent: begin(onEvent=onEvent), self._onSaved)
        except SegmentationError as error:
            self._hooks.showError(error)
            return
        self._busy = True
        self._update()

    def _onSaved(self, job: SceneJob) -> None:
        self._busy = False
        self._update()
        if job.error is not None:
            return
        sentences = [_("Saved in the DICOM database, in the study of the images.")]
        if not hasattr(slicer.modules, "quantitativereporting"):
            sentences.append(
                _("To load it from there, install the extension QuantitativeReporting.")
            )
        sentences += [notice.message for notice in job.result.notices]
        self._hooks.say(" ".join(sentences))

    def _onLabelmapClicked(self, checked: bool) -> None:
        slicer.app.settings().setValue(_LABELMAP_KEY, checked)


class _MeshExport:
    """Surfaces are built by the thread that polls, where the scene is, and written by another.

    :raises SegmentationError: if there is nothing to build surfaces of.
    """

    def __init__(self, node: slicer.vtkMRMLSegmentationNode, write: MeshWriter) -> None:
        self._node = node
        self._builder: SurfaceBuilder | None = SurfaceBuilder(node)
        self._write = write
        self._fraction = 0.0
        self._answers: queue.SimpleQueue[tuple[Mesh, ...] | SegmentationError] = queue.SimpleQueue()
        self._stages = (_("Building the surfaces"), _("Writing the surfaces"))

    def step(self) -> None:
        """Build for a moment; hand the surfaces over when they are done."""
        if self._builder is None:
            return
        until = time.monotonic() + _STEP_S
        try:
            while not self._builder.done and time.monotonic() < until:
                self._builder.step()
            self._fraction = self._builder.fraction
            if self._builder.done:
                self._hand(surface_meshes(self._node, surfaces=self._builder.surfaces))
        except SegmentationError as error:  # the node has gone, for one
            self._hand(error)
        except Exception as error:  # else the work would wait for ever
            self._hand(internal_error(error))

    def _hand(self, answer: tuple[Mesh, ...] | SegmentationError) -> None:
        self.close()
        self._answers.put(answer)

    def close(self) -> None:
        """Build no further; in the thread that calls :meth:`step`."""
        builder, self._builder = self._builder, None
        if builder is not None:
            builder.close()

    def work(self, context: JobContext) -> Written:
        """Wait for the surfaces, and write them."""
        context.emit(Stage(self._stages[0]))
        meshes = self._wait(context)
        context.emit(Stage(self._stages[1]))
        context.emit(Progress(_SHARE_OF_SURFACES))
        return self._write(meshes)

    def _wait(self, context: JobContext) -> tuple[Mesh, ...]:
        while True:
            context.check()
            context.emit(Progress(_SHARE_OF_SURFACES * self._fraction))
            try:
                answer = self._answers.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if isinstance(answer, SegmentationError):
                raise answer
            return answer


def _lastFolder() -> Path:
    """Where people exported last time; their home if that is no more."""
    folder = qt.QSettings().value(_FOLDER_KEY, "")
    return Path(folder) if folder and Path(folder).is_dir() else Path.home()


def _rememberFolder(folder: Path) -> None:
    qt.QSettings().setValue(_FOLDER_KEY, str(folder))


def _newFolder(parent: Path, name: str) -> Path:
    """A folder that is not there yet, so that nothing is written over."""
    names = (name if n == 1 else f"{name} ({n})" for n in count(1))
    return next(parent / name for name in names if not (parent / name).exists())


def _writeStl(meshes: Sequence[Mesh], folder: Path) -> Written:
    try:
        return write_stl(meshes, folder)
    except SegmentationError:
        if folder.is_dir():
            folder.rmdir()  # all files or none, and without them no folder
        raise
