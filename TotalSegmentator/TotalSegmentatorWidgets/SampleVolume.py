"""The sample CT in Slicer's module Sample Data."""

from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from TotalSegmentatorLib.environment import resources_folder, user_data_folder
from TotalSegmentatorLib.environment.interpreters import pip_python
from TotalSegmentatorLib.environment.sample_data import MEMBERS, is_cached, sample_ct
from TotalSegmentatorLib.jobs import Job
from TotalSegmentatorLib.scene.sample_volume import NODE_NAME, add_sample_volume

CATEGORY = "TotalSegmentator"
SAMPLE_NAME = "TotalSegmentator demo CT"


def folder() -> Path:
    """Where the sample CT is kept; the command line keeps it there too."""
    return user_data_folder() / "sample"


def register() -> bool:
    """Offer the sample CT in Slicer's module Sample Data; again is as good as once.

    A click on it calls :func:`load`. A script that asks Slicer's own logic for the sample gets the
    file that an earlier click has left on this computer.

    :return: whether it is offered now; not where Slicer lacks that module.
    """
    try:
        import SampleData
    except ModuleNotFoundError:
        return False
    fileName, digest = MEMBERS["ct"]
    thumbnail = resources_folder() / "Icons" / "TotalSegmentatorDemoCT.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        uris=(folder() / fileName).absolute().as_uri(),
        fileNames=fileName,
        nodeNames=NODE_NAME,
        checksums="SHA256:" + digest,
        customDownloader=load,
        thumbnailFileName=str(thumbnail),
        loadFileType="VolumeFile",
    )
    return True


def load(source: object = None) -> tuple[slicer.vtkMRMLScalarVolumeNode]:
    """Load the sample CT into the scene; fetch it from the internet if it is not here yet.

    The application stays alive meanwhile, as with Slicer's own downloads.

    :param source: Slicer's description of the sample.
    :return: the nodes.
    :raises SegmentationError: if it cannot be had; the scene is as before.
    """
    message = _("The sample CT could not be loaded.")
    with slicer.util.tryWithErrorDisplay(message, waitCursor=True):
        return add_sample_volume(slicer.mrmlScene, _fetch())


def _fetch() -> Path:
    """The file, downloaded in a thread if need be."""
    import qt

    if not is_cached(folder()):
        slicer.util.showStatusMessage(_("Downloading the sample CT (38 MB)..."))
    job = Job(lambda context: sample_ct(folder(), python=pip_python())).start()
    while job.poll():
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)
    slicer.util.showStatusMessage("")
    return job.result.ct
