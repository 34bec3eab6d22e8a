"""*Save to DICOM*: from a click, or a script, to a series in Slicer's DICOM database."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import slicer
from panel_steps import apply, cancel, error_text, node_ids
from pydicom import dcmread
from SampleData.dicom_series import Grid, write_series
from support.loaded_series import load_series

from TotalSegmentatorLib import dicom_results
from TotalSegmentatorLib.errors import CancelledError, InputError
from TotalSegmentatorLib.images import read_image
from TotalSegmentatorLib.jobs import Stage, workspace

SHAPE = (6, 20, 26)
BITMAPS, LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
SAVED_S = 120


class InThisProcess:
    """A session that writes with this interpreter's highdicom, and needs no engine process.

    :cvar hold: while it is set, writing waits.
    """

    hold = threading.Event()

    def __init__(self, settings, context) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> InThisProcess:
        self.folder = self._stack.enter_context(workspace())
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def write_dicom(self, order, context):
        from TotalSegmentatorLib.dicom.writing.writing import write

        context.emit(Stage("Holding"))
        while self.hold.is_set():
            context.check()
            context.cancelled.wait(0.01)
        return write(order, context)


@pytest.fixture
def inProcess(panel, monkeypatch):
    """Write without an engine process."""
    monkeypatch.setattr(dicom_results, "Session", InThisProcess)
    yield InThisProcess
    InThisProcess.hold.clear()


@pytest.fixture
def database(host, tmp_path):
    """Slicer's database, open and empty."""
    (tmp_path / "database").mkdir()
    slicer.dicomDatabase.openDatabase(str(tmp_path / "database" / "ctkDICOM.sql"))
    return slicer.dicomDatabase


@pytest.fixture
def dicomVolume(database, panel, tmp_path):
    """A volume that was loaded from DICOM, chosen as input."""
    array = np.random.default_rng(0).integers(-1000, 1000, SHAPE)
    files = write_series(tmp_path / "images", array)
    node = load_series(slicer.mrmlScene, files, array, Grid())
    panel.ui.inputVolumeSelector.setCurrentNode(node)
    return node


def labels() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 2:9, 5:17] = 1
    array[3:5, 11:18, 3:8] = 5
    return array


@pytest.fixture
def node(dicomVolume, panel):
    """The spleen and the liver in it, chosen as output."""
    from TotalSegmentatorLib import catalog
    from TotalSegmentatorLib.images import Layer, SegmentRecord
    from TotalSegmentatorLib.scene import import_layers, volume_to_image

    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs")
    known = {label: catalog.structure(id) for label, id in ((1, "spleen"), (5, "liver"))}
    records = tuple(
        SegmentRecord(one.id, one.name, label, one.color, one.terminology_entry())
        for label, one in known.items()
    )
    image = volume_to_image(dicomVolume)
    import_layers([Layer(image.with_array(labels()), records)], made, dicomVolume)
    panel.ui.outputSegmentationSelector.setCurrentNode(made)
    return made


def click(panel, host) -> None:
    """Click the button, and wait until what that has begun has ended."""
    panel.ui.exportDicomButton.click()
    assert host.wait(lambda: not panel.runs.canCancel, SAVED_S)


def newSeries(database, volume) -> list[str]:
    """The series of the volume's study, without that of its images; nothing else is there."""
    (patient,) = database.patients()
    (study,) = database.studiesForPatient(patient)
    images = dcmread(database.fileForInstance(volume.GetAttribute("DICOM.instanceUIDs").split()[0]))
    return [uid for uid in database.seriesForStudy(study) if uid != images.SeriesInstanceUID]


def objectOf(database, series: str):
    (path,) = database.filesForSeries(series)
    return dcmread(path)


def left(runs: Path) -> list[Path]:
    return list(runs.iterdir())


def test_a_click_adds_a_series_to_the_study_of_the_images(
    panel, host, database, dicomVolume, node, inProcess, runs
):
    before = node_ids()
    click(panel, host)
    assert error_text(panel) == ""
    (series,) = newSeries(database, dicomVolume)
    saved = objectOf(database, series)
    assert saved.SOPClassUID == BITMAPS
    assert [one.SegmentLabel for one in saved.SegmentSequence] == ["Spleen", "Liver"]
    (referenced,) = saved.ReferencedSeriesSequence
    instances = {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence}
    assert instances == set(dicomVolume.GetAttribute("DICOM.instanceUIDs").split())
    assert node_ids() == before  # nothing was loaded
    assert left(runs) == []


def test_labels_of_the_file_are_those_of_the_scene(
    panel, host, database, dicomVolume, node, inProcess
):
    import highdicom

    click(panel, host)
    (series,) = newSeries(database, dicomVolume)
    (path,) = database.filesForSeries(series)
    read = highdicom.seg.segread(path)
    uids = dicomVolume.GetAttribute("DICOM.instanceUIDs").split()
    pixels = read.get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(pixels, np.choose(labels().clip(max=2), [0, 1, 2]))


def test_people_are_told_what_loads_it(panel, host, node, inProcess, monkeypatch):
    click(panel, host)
    told = "Saved in the DICOM database, in the study of the images."
    hint = " To load it from there, install the extension QuantitativeReporting."
    assert panel.ui.statusLabel.text == told + hint
    monkeypatch.setattr(slicer.modules, "quantitativereporting", object(), raising=False)
    click(panel, host)
    assert panel.ui.statusLabel.text == told


def test_labelmap_is_a_setting_of_the_computer(panel, host, database, dicomVolume, node, inProcess):
    from TotalSegmentatorWidgets.Exporter import Exporter

    assert not panel.ui.dicomLabelmapCheckBox.checked
    panel.ui.dicomLabelmapCheckBox.click()
    click(panel, host)
    (series,) = newSeries(database, dicomVolume)
    assert objectOf(database, series).SOPClassUID == LABELMAP
    panel.ui.dicomLabelmapCheckBox.checked = False
    Exporter(panel.ui, panel.logic, panel.runs)  # as in the next session
    assert panel.ui.dicomLabelmapCheckBox.checked


def test_while_it_is_saved_the_scene_may_change(
    panel, host, database, dicomVolume, node, inProcess
):
    inProcess.hold.set()
    panel.ui.exportDicomButton.click()
    assert not panel.ui.exportDicomButton.enabled
    assert host.wait(lambda: panel.ui.statusLabel.text == "Holding", SAVED_S)
    node.GetSegmentation().RemoveAllSegments()
    inProcess.hold.clear()
    assert host.wait(lambda: not panel.runs.canCancel, SAVED_S)
    (series,) = newSeries(database, dicomVolume)
    assert len(objectOf(database, series).SegmentSequence) == 2
    assert panel.ui.exportDicomButton.enabled


def test_cancel_leaves_nothing(panel, host, database, dicomVolume, node, inProcess, runs):
    inProcess.hold.set()
    panel.ui.exportDicomButton.click()
    assert host.wait(lambda: panel.ui.statusLabel.text == "Holding", SAVED_S)
    cancel(panel, host)
    assert host.wait(lambda: not panel.runs.canCancel, SAVED_S)
    assert "cancelled" in panel.ui.logTextEdit.toPlainText()
    assert newSeries(database, dicomVolume) == []
    assert left(runs) == []
    assert panel.ui.exportDicomButton.enabled


def test_volume_that_is_not_from_dicom_is_told_at_once(panel, host, dicomVolume, node, inProcess):
    dicomVolume.RemoveAttribute("DICOM.instanceUIDs")
    panel.ui.exportDicomButton.click()
    assert not panel.runs.canCancel
    assert "The volume was not loaded from DICOM." in error_text(panel)
    assert panel.ui.exportDicomButton.enabled


def test_files_that_have_gone_are_told(panel, host, dicomVolume, node, inProcess, tmp_path):
    next((tmp_path / "images").iterdir()).unlink()
    click(panel, host)
    assert "DICOM files of the volume are missing: 1 of 6." in error_text(panel)


def test_database_that_does_not_take_it_is_told(
    panel, host, database, dicomVolume, node, inProcess, runs, monkeypatch
):
    monkeypatch.setattr(database, "insert", lambda *arguments: None)
    click(panel, host)
    assert "database did not take the segmentation." in error_text(panel)
    assert left(runs) == []


def test_a_script_waits_and_gets_the_series(panel, database, dicomVolume, node, inProcess):
    saved = panel.logic.saveToDICOM(node, labelmap=True)
    assert newSeries(database, dicomVolume) == [saved.seriesUID]
    assert saved.notices == ()
    assert objectOf(database, saved.seriesUID).SOPClassUID == LABELMAP


def test_a_script_gets_errors_as_exceptions(panel, database, dicomVolume, node, inProcess):
    job = panel.logic.startSaveToDICOM(node)
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert newSeries(database, dicomVolume) == []
    database.closeDatabase()
    with pytest.raises(InputError, match="database is not open"):
        panel.logic.saveToDICOM(node)


def test_segments_beyond_the_images_are_none(panel, database, dicomVolume, node, inProcess, runs):
    matrix = np.eye(4)
    matrix[:3, 3] = 1000
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match="No segment has voxels"):
        panel.logic.saveToDICOM(node)
    assert left(runs) == []


@pytest.mark.slow
def test_the_engine_process_writes_it(panel, host, database, dicomVolume, node, runs):
    click(panel, host)
    assert error_text(panel) == ""
    (series,) = newSeries(database, dicomVolume)
    saved = objectOf(database, series)
    assert [one.SegmentAlgorithmType for one in saved.SegmentSequence] == ["AUTOMATIC"] * 2
    panel.logic.releaseEngine()
    assert left(runs) == []


@pytest.mark.slow
def test_result_of_the_demo_model_says_so(panel, host, database, sample, tmp_path):
    image, _ = read_image(sample.ct_small)
    array = image.array.clip(-1024, 3071)
    row, column, _ = (image.directions * [[-1], [-1], [1]]).T.tolist()
    width, height, distance = image.spacing
    origin = tuple(image.ijk_to_ras[:3, 3] * [-1, -1, 1])
    grid = Grid(tuple(row), tuple(column), (height, width, distance), origin)
    files = write_series(tmp_path / "images", array, grid)
    volume = load_series(slicer.mrmlScene, files, array, grid)
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    apply(panel, host)
    assert error_text(panel) == ""
    click(panel, host)
    assert error_text(panel) == ""
    (series,) = newSeries(database, volume)
    saved = objectOf(database, series)
    assert "DEMO MODEL" in saved.SeriesDescription
    segments = {one.SegmentLabel: one for one in saved.SegmentSequence}
    assert len(segments) > 20
    assert segments["Liver"].SegmentDescription == "TotalSegmentatorDemo 5 : liver"
    assert segments["Liver"].TrackingID == "demo liver"
