"""What the module's logic does about DICOM; also without Qt."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from TotalSegmentatorLib.dicom.orders import SEGMENTATION, DicomOptions, Written
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Notice
from TotalSegmentatorLib.jobs import Event, Job, JobContext, Stage, workspace
from TotalSegmentatorLib.scene import SceneJob
from TotalSegmentatorLib.session import Settings

if TYPE_CHECKING:
    from TotalSegmentatorLib.scene.dicom import TakenForDicom

_FILE_NAME = "segmentation.dcm"


@dataclass(frozen=True)
class SavedToDICOM:
    """A segmentation in Slicer's DICOM database.

    :param seriesUID: by which ``DICOMUtils.loadSeriesByUID`` finds it.
    :param notices: what people should know about it.
    """

    seriesUID: str
    notices: tuple[Notice, ...] = ()


class DicomLogic:
    """A part of TotalSegmentatorLogic, whose jobs and engine it uses."""

    def saveToDICOM(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volume: slicer.vtkMRMLScalarVolumeNode | None = None,
        labelmap: bool = False,
    ) -> SavedToDICOM:
        """Do what :meth:`startSaveToDICOM` does, and wait for the end."""
        return self.startSaveToDICOM(segmentation, volume, labelmap).wait()

    def startSaveToDICOM(
        self,
        segmentation: slicer.vtkMRMLSegmentationNode,
        volume: slicer.vtkMRMLScalarVolumeNode | None = None,
        labelmap: bool = False,
        onEvent: Callable[[Event], None] | None = None,
    ) -> SceneJob:
        """Start saving a segmentation as DICOM SEG into Slicer's DICOM database.

        It becomes a series of its own in the study of the volume's images, and refers to them. It
        is saved as it is now; nothing is loaded, and the scene is not changed.

        :param volume: what was segmented, loaded from DICOM; None: the volume that the segmentation
            was made on.
        :param labelmap: one labelmap, which is small and which few programs can read, instead of a
            bitmap for each segment.
        :return: its ``result`` is a :class:`SavedToDICOM`.
        :raises SegmentationError: if it cannot be saved; nothing has begun.
        """
        # Here, as pydicom takes a moment that the start of Slicer need not wait for.
        from TotalSegmentatorLib.scene.dicom import add_to_database, take_for_dicom

        taken = take_for_dicom(segmentation, volume)
        settings = self._settings(mayDownload=False)
        options = DicomOptions(labelmap=labelmap)
        stage = _("Looking at the DICOM images")

        def work(context: JobContext) -> _File:
            context.emit(Stage(stage))
            return _write(taken, options, settings, context)

        def finish(file: _File) -> SavedToDICOM:
            with file.folder:
                return SavedToDICOM(add_to_database(file.path), file.notices)

        return self.followJob(Job(work, onEvent or self._log).start(), finish)


@dataclass(frozen=True)
class _File:
    """A file on its way into the database.

    :param folder: removes the private folder that it lies in, alone.
    """

    path: Path
    notices: tuple[Notice, ...]
    folder: contextlib.ExitStack


def _write(
    taken: "TakenForDicom", options: DicomOptions, settings: Settings, context: JobContext
) -> _File:
    from TotalSegmentatorLib.dicom_results import write_dicom

    volume = taken.find_volume(lambda count: context.check())
    layers, contents = taken.on_slices_of(volume)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(workspace()) / "dicom"
        folder.mkdir()
        job = write_dicom(
            layers,
            volume,
            taken.report,
            options,
            settings,
            folder,
            {SEGMENTATION: _FILE_NAME},
            on_event=context.emit,
            contents=contents,
        )
        written = _wait(job, context)
        if SEGMENTATION not in written.files:
            raise InputError("output.empty", "No segment has voxels on the images of the volume.")
        return _File(written.files[SEGMENTATION], written.notices, stack.pop_all())


def _wait(job: Job[Written], context: JobContext) -> Written:
    """The result of a job in another one, with which it is cancelled."""
    while job.poll():
        if context.cancelled.is_set():
            job.cancel()
    return job.result
