"""A segmentation of the scene as DICOM: its labels on the slices, its segments, the database."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from pydicom import dcmread
from SampleData.dicom_series import Grid, multiframe, orientations, save, slices_of, write_series
from scene_samples import add_bend, add_segmentation, add_transform, rotation
from slicerhost import dicom_database
from support.loaded_series import load_series

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog.terminology import Code
from TotalSegmentatorLib.dicom.reading import labels_on_slices
from TotalSegmentatorLib.dicom_results import algorithm_of
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Image, Layer, SegmentRecord
from TotalSegmentatorLib.scene import import_layers
from TotalSegmentatorLib.scene.dicom import add_to_database, take_for_dicom
from TotalSegmentatorLib.scene.volumes import array_to_matrix, array_to_vtk, volume_to_image

SHAPE = (6, 20, 26)
LEANING = Grid(lean_mm=1.3)
PROVENANCE = {
    "task": "total",
    "requests": json.dumps([{"task": "total", "speed": "fast"}]),
    "engine": "nnunet",
    "versions": json.dumps({"TotalSegmentator": "2.18.0", "torch": "2.9"}),
    "demo": "false",
}


@pytest.fixture
def database(monkeypatch, tmp_path) -> dicom_database.ctkDICOMDatabase:
    """Slicer's database, open and empty."""
    for name in ("DICOMLib", "DICOMLib.DICOMUtils"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(slicer, "dicomDatabase", None, raising=False)
    made = dicom_database.install()
    (tmp_path / "database").mkdir()
    assert made.openDatabase(str(tmp_path / "database" / "ctkDICOM.sql"))
    return made


def voxels(shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, shape)


def loaded(application, folder: Path, grid: Grid | None = None, shape=SHAPE, **options: Any):
    """A volume that was loaded from DICOM."""
    grid, array = grid or Grid(), voxels(shape)
    files = write_series(folder / "images", array, grid, **options)
    return load_series(application.scene, files, array, grid)


def labels(shape=SHAPE) -> np.ndarray:
    """Two boxes without any symmetry."""
    array = np.zeros(shape, np.uint8)
    array[1:4, 2:9, 5:17] = 1
    array[3:5, 11:18, 3:8] = 5
    return array


def record(id: str, label: int) -> SegmentRecord:
    known = catalog.structure(id)
    return SegmentRecord(id, known.name, label, known.color, known.terminology_entry())


def segmented(application, volume, array=None, provenance=PROVENANCE):
    """What a run has made of a volume: the spleen and the liver."""
    node = add_segmentation(application)
    array = labels(volume_to_image(volume).array.shape) if array is None else array
    segments = (record("spleen", 1), record("liver", 5))
    image = Image(array, volume_to_image(volume).ijk_to_ras)
    import_layers([Layer(image, segments)], node, volume, provenance=provenance)
    return node


def draw(node, id: str, name: str, array: np.ndarray, ijk_to_ras: np.ndarray, entry="") -> None:
    """Add a segment with a labelmap of its own, as people draw them."""
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetDimensions(array.shape[::-1])
    labelmap.GetPointData().SetScalars(array_to_vtk(array))
    labelmap.SetGeometryFromImageToWorldMatrix(array_to_matrix(ijk_to_ras))
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(1.0, 0.5, 0.0)
    segment.SetTerminology(entry)
    segment.SetLabelValue(1)
    segment.AddRepresentation("Binary labelmap", labelmap)
    node.GetSegmentation().AddSegment(segment, id)


def on_slices(taken) -> list[np.ndarray]:
    volume = taken.find_volume()
    layers, _ = taken.on_slices_of(volume)
    return [labels_on_slices(layer.labels, volume) for layer in layers]


def contents(node) -> dict:
    taken = take_for_dicom(node)
    return {one.id: one for one in taken.on_slices_of(taken.find_volume())[1]}


# ---- where labels lie -----------------------------------------------------------------------

_WAYS = {
    **{one.name: (one.grid, one.shape) for one in orientations()},
    "tilted": (LEANING, SHAPE),
    "tilted, reversed": (Grid((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), lean_mm=-2.0), SHAPE),
}


@pytest.mark.parametrize(("grid", "shape"), _WAYS.values(), ids=_WAYS)
def test_labels_lie_in_the_pixels_that_they_were_drawn_on(
    application, database, tmp_path, grid, shape
):
    volume = loaded(application, tmp_path, grid, shape)
    (found,) = on_slices(take_for_dicom(segmented(application, volume)))
    np.testing.assert_array_equal(found, labels(shape))


def test_frames_of_one_file_are_slices_too(application, database, tmp_path):
    array = voxels()
    files = save([multiframe(slices_of(array))], tmp_path)
    volume = load_series(application.scene, files, array, Grid())
    (found,) = on_slices(take_for_dicom(segmented(application, volume)))
    np.testing.assert_array_equal(found, labels())


def turned() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((0.3, -0.2, 1.0))
    matrix[:3, 3] = (20, -5, 7)
    return matrix


def test_volume_and_segmentation_may_be_moved_together(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    volume.SetAndObserveTransformNodeID(add_transform(application, turned()).GetID())
    node = segmented(application, volume)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID()
    (found,) = on_slices(take_for_dicom(node))
    np.testing.assert_array_equal(found, labels())


def test_segmentation_may_be_moved_over_the_volume(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = segmented(application, volume)
    step = np.eye(4)
    step[:3, 3] = volume_to_image(volume).ijk_to_ras[:3, :3] @ (2, 0, 1)
    node.SetAndObserveTransformNodeID(add_transform(application, step).GetID())
    (found,) = on_slices(take_for_dicom(node))
    np.testing.assert_array_equal(found, np.roll(labels(), (1, 2), (0, 2)))


def test_what_overlaps_comes_in_layers(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = segmented(application, volume)
    own = np.zeros(SHAPE, np.uint8)
    own[2:4, 4:12, 6:10] = 1
    draw(node, "Segment_1", "Tumour", own, volume_to_image(volume).ijk_to_ras)
    first, second = on_slices(take_for_dicom(node))
    np.testing.assert_array_equal(first, labels())
    made = contents(node)
    assert {id: (one.layer, one.label) for id, one in made.items()} == {
        "spleen": (0, 1),
        "liver": (0, 5),
        "Segment_1": (1, 1),
    }
    np.testing.assert_array_equal(second, own)


def test_finer_segments_get_the_pixels_that_they_lie_in(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = add_segmentation(application)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    matrix = volume_to_image(volume).ijk_to_ras
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = -0.25
    fine = labels().repeat(2, 0).repeat(2, 1).repeat(2, 2) == 1
    draw(node, "Segment_1", "Mine", fine.astype(np.uint8), matrix @ half)
    (found,) = on_slices(take_for_dicom(node))
    np.testing.assert_array_equal(found, labels() == 1)


def test_edits_after_the_click_are_not_saved(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path))
    taken = take_for_dicom(node)
    node.GetSegmentation().RemoveAllSegments()
    (found,) = on_slices(taken)
    np.testing.assert_array_equal(found, labels())


def test_another_volume_can_be_named(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    clone = application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "clone")
    clone.SetAndObserveImageData(volume.GetImageData())
    clone.SetIJKToRASMatrix(array_to_matrix(volume_to_image(volume).ijk_to_ras))
    node = segmented(application, clone)
    with pytest.raises(InputError):
        take_for_dicom(node)
    (found,) = on_slices(take_for_dicom(node, volume))
    np.testing.assert_array_equal(found, labels())


# ---- what segments become -------------------------------------------------------------------


def test_segments_keep_what_the_scene_says_of_them(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path))
    node.GetSegmentation().GetSegment("liver").SetName("Leber")
    node.GetSegmentation().GetSegment("liver").SetColor(0.0, 0.2, 1.0)
    made = contents(node)
    assert list(made) == ["spleen", "liver"]
    liver, known = made["liver"], catalog.structure("liver")
    assert (liver.name, liver.color, liver.label) == ("Leber", (0, 51, 255), 5)
    assert (liver.category, liver.type, liver.type_modifier) == known.codes[:3]
    assert (liver.task, liver.made) == ("total", "AUTOMATIC")
    assert liver.description == "5 : liver"
    assert liver.volume_ml is None and liver.mean is None  # measured before people edited it


def test_all_five_codes_are_kept(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path))
    cyst = catalog.structure("kidney_cyst_left")
    assert all((cyst.region, cyst.region_modifier))
    node.GetSegmentation().GetSegment("liver").SetTerminology(cyst.terminology_entry() + "|")
    liver = contents(node)["liver"]
    codes = (liver.category, liver.type, liver.type_modifier, liver.region, liver.region_modifier)
    assert codes == cyst.codes


def test_segments_of_people_are_manual(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = segmented(application, volume)
    own = np.zeros(SHAPE, np.uint8)
    own[0, :3, :3] = 1
    entry = (
        "My list~SCT^85756007^Tissue~SCT^85756007^Tissue~^^"
        "~Mine~A scheme with a long name^1^Here~^^"
    )
    matrix = volume_to_image(volume).ijk_to_ras
    draw(node, "Segment_1", "", own, matrix, entry)
    draw(node, "Segment_2", "No code", np.roll(own, 5, 2), matrix)
    made = contents(node)
    first, second = made["Segment_1"], made["Segment_2"]
    tissue = Code("SCT", "85756007", "Tissue")
    assert (first.category, first.type) == (tissue, tissue)
    assert (first.type_modifier, first.region) == (None, None)
    assert (first.name, first.made, first.task) == ("Segment_1", "MANUAL", "")
    assert (second.category.value, second.type.value) == ("123037004", "91723000")


def test_what_the_editor_has_changed_is_semiautomatic(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetSegmentStatus(node.GetSegmentation().GetSegment("liver"), logic.InProgress)
    made = contents(node)
    assert {id: one.made for id, one in made.items()} == {
        "spleen": "AUTOMATIC",
        "liver": "SEMIAUTOMATIC",
    }


def test_the_run_that_made_it_is_remembered(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path))
    algorithm = algorithm_of(take_for_dicom(node).report)
    assert (algorithm.name, algorithm.version) == ("TotalSegmentator", "2.18.0")
    assert (algorithm.task, algorithm.demo) == ("total (fast)", False)


@pytest.mark.parametrize("versions", ["{}", "[]"])
def test_run_without_versions_is_named_by_its_task(application, database, tmp_path, versions):
    provenance = {**PROVENANCE, "versions": versions}
    node = segmented(application, loaded(application, tmp_path), provenance=provenance)
    algorithm = algorithm_of(take_for_dicom(node).report)
    assert (algorithm.name, algorithm.version) == ("total", "")


def test_a_demo_stays_one_where_its_segments_are_copied_to(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    made = segmented(application, volume, provenance={**PROVENANCE, "demo": "true"})
    node = add_segmentation(application)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().CopySegmentFromSegmentation(made.GetSegmentation(), "liver")
    assert take_for_dicom(node).report is None
    (liver,) = contents(node).values()
    assert (liver.made, liver.demo) == ("AUTOMATIC", True)


def test_tasks_of_earlier_runs_are_remembered_too(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = segmented(application, volume)
    array = np.zeros(SHAPE, np.uint8)
    array[0, 0, :4] = 1
    image = Image(array, volume_to_image(volume).ijk_to_ras)
    vessels = Layer(image, (record("liver_vessels", 1),))
    request = json.dumps([{"task": "liver_vessels", "speed": "normal"}])
    later = {**PROVENANCE, "requests": request, "demo": "true"}
    import_layers([vessels], node, volume, "append", later)
    taken = take_for_dicom(node)
    assert {id: origin.task for id, origin in taken.origins.items()} == {
        "spleen": "total",
        "liver": "total",
        "liver_vessels": "liver_vessels",
    }
    algorithm = algorithm_of(taken.report)
    assert (algorithm.task, algorithm.demo) == ("liver_vessels", True)


def test_without_a_run_nothing_is_made_up(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path), provenance={})
    taken = take_for_dicom(node)
    assert taken.report is None
    assert taken.origins["liver"].task == ""
    assert contents(node)["liver"].description == "liver"


# ---- what is refused ------------------------------------------------------------------------


def refused(take, code: str) -> InputError:
    with pytest.raises(InputError) as caught:
        take()
    assert caught.value.code == code
    assert str(caught.value).endswith(".")
    return caught.value


def test_volume_that_is_not_from_dicom(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = segmented(application, volume)
    volume.RemoveAttribute("DICOM.instanceUIDs")
    refused(lambda: take_for_dicom(node), "output.not_from_dicom")


def test_segmentation_without_a_volume(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = segmented(application, volume)
    application.scene.RemoveNode(volume)
    refused(lambda: take_for_dicom(node), "output.no_volume")


def test_closed_database_and_none_at_all(application, database, tmp_path, monkeypatch):
    node = segmented(application, loaded(application, tmp_path))
    database.closeDatabase()
    refused(lambda: take_for_dicom(node), "output.no_dicom_database")
    monkeypatch.delattr(slicer, "dicomDatabase")
    refused(lambda: take_for_dicom(node), "output.no_dicom_database")


def test_files_that_have_gone(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path))
    taken = take_for_dicom(node)
    for path in taken.files[:2]:
        path.unlink()
    assert "2 of 6" in refused(taken.find_volume, "output.dicom_files_gone").message


def test_images_that_the_database_does_not_know(application, database, tmp_path):
    node = segmented(application, loaded(application, tmp_path))
    database.openDatabase(str(tmp_path / "other.sql"))
    taken = take_for_dicom(node)
    assert "6 of 6" in refused(taken.find_volume, "output.dicom_files_gone").message


def moved_by_a_voxel(volume) -> None:
    matrix = volume_to_image(volume).ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, 0]
    volume.SetIJKToRASMatrix(array_to_matrix(matrix))


def turned_over(volume) -> None:
    matrix = volume_to_image(volume).ijk_to_ras @ np.diag([1, 1, -1, 1])
    volume.SetIJKToRASMatrix(array_to_matrix(matrix))


def cropped(volume) -> None:
    image = volume_to_image(volume)
    data = slicer.vtkOrientedImageData()
    data.SetDimensions(image.shape_ijk[0] - 2, *image.shape_ijk[1:])
    data.GetPointData().SetScalars(array_to_vtk(image.array[:, :, 2:].copy()))
    volume.SetAndObserveImageData(data)


@pytest.mark.parametrize("change", [moved_by_a_voxel, turned_over, cropped])
def test_voxels_that_are_no_longer_the_pixels(application, database, tmp_path, change):
    volume = loaded(application, tmp_path)
    change(volume)
    taken = take_for_dicom(segmented(application, volume))
    refused(taken.find_volume, "output.other_grid")


def test_series_that_lacks_slices(application, database, tmp_path):
    array, grid = voxels(), Grid()
    files = write_series(tmp_path / "images", array, grid)
    del files[3]
    volume = load_series(application.scene, files, np.delete(array, 3, 0), grid)
    node = segmented(application, volume)
    refused(take_for_dicom(node).find_volume, "output.uneven_slices")


def test_volume_of_several_series(application, database, tmp_path):
    array, grid = voxels(), Grid()
    files = write_series(tmp_path / "1", array[:3], grid)
    files += write_series(tmp_path / "2", array[3:], grid, series=4)
    volume = load_series(application.scene, files, array, grid)
    taken = take_for_dicom(segmented(application, volume))
    refused(taken.find_volume, "input.several_series")


def test_volumes_at_the_same_place_in_one_file(application, database, tmp_path):
    array = voxels()
    echoes = [
        one for time in (2.3, 4.6) for one in slices_of(array + 1000, modality="MR", EchoTime=time)
    ]
    files = save([multiframe(echoes)], tmp_path)
    volume = load_series(application.scene, files, array, Grid())
    taken = take_for_dicom(segmented(application, volume))
    refused(taken.find_volume, "input.several_volumes")


def test_what_the_reader_refuses(application, database, tmp_path):
    volume = loaded(application, tmp_path, PhotometricInterpretation="MONOCHROME1")
    taken = take_for_dicom(segmented(application, volume))
    with pytest.raises(InputError):
        taken.find_volume()


def test_segmentation_without_voxels(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = add_segmentation(application)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("Segment_1")
    refused(lambda: take_for_dicom(node), "output.empty")


def test_bent_volume_and_bent_segmentation(application, database, tmp_path):
    volume = loaded(application, tmp_path)
    node = segmented(application, volume)
    bend = add_bend(application).GetID()
    node.SetAndObserveTransformNodeID(bend)
    refused(lambda: take_for_dicom(node), "output.nonlinear_transform")
    volume.SetAndObserveTransformNodeID(bend)
    refused(lambda: take_for_dicom(node), "input.nonlinear_transform")


# ---- the database ---------------------------------------------------------------------------


def test_file_is_copied_into_the_database(application, database, tmp_path):
    folder = tmp_path / "new"
    (path, *_) = write_series(folder, voxels(), series=103)
    for other in folder.iterdir():
        if other != path:
            other.unlink()
    header = dcmread(path)
    assert add_to_database(path) == header.SeriesInstanceUID
    path.unlink()
    kept = Path(database.fileForInstance(header.SOPInstanceUID))
    assert kept.is_file() and (tmp_path / "database") in kept.parents


def test_file_that_the_database_does_not_take(database, tmp_path):
    (path, *_) = write_series(tmp_path / "new", voxels(), StudyInstanceUID="")
    refused(lambda: add_to_database(path), "output.not_imported")


def test_database_that_was_closed_meanwhile(database, tmp_path):
    (path, *_) = write_series(tmp_path / "new", voxels())
    database.closeDatabase()
    refused(lambda: add_to_database(path), "output.no_dicom_database")
