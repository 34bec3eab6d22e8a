"""Segmentation files, with Slicer's own reader as the judge where slicer-core is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from SampleData.phantoms import torso_labels
from scipy.spatial.transform import Rotation

from TotalSegmentatorLib.images import (
    Image,
    Layer,
    SegmentRecord,
    merge_layers,
    read_labelmap,
    write_segmentation,
)
from TotalSegmentatorLib.images.layer import ID_TAG

ENTRY = (
    "Segmentation category and type - Total Segmentator~SCT^123037004^Anatomical Structure~"
    "SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
)
PROVENANCE = {"task": "total", "request": '{"speed": "fast",\n "note": "Größe = 3"}'}


def segmentation() -> tuple[Image, tuple[SegmentRecord, ...]]:
    """Labels on an oblique, left-handed grid."""
    labels, names = torso_labels()
    matrix = labels.ijk_to_ras.copy()
    matrix[:3, :3] = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix() * (-3, 2, 4)
    segments = tuple(
        SegmentRecord(name, f"{name} é", label, (40 * label, 7, 255), ENTRY)
        for label, name in names.items()
    )
    return Image(labels.array, matrix), segments


def test_simpleitk_reads_voxels_and_keys(tmp_path: Path) -> None:
    labels, segments = segmentation()
    path = tmp_path / "s.seg.nrrd"
    write_segmentation([Layer(labels, segments)], path, PROVENANCE)
    judge = sitk.ReadImage(str(path))
    assert np.array_equal(sitk.GetArrayFromImage(judge), labels.array)
    assert judge.GetMetaData("Segment1_ID") == segments[1].id
    assert judge.GetMetaData("Segment1_Name") == segments[1].name
    tags = f"TerminologyEntry:{ENTRY}|TotalSegmentator.id:{segments[0].id}|"
    assert judge.GetMetaData("Segment0_Tags") == tags
    assert judge.GetMetaData("TotalSegmentator_task") == "total"
    assert judge.GetMetaData("TotalSegmentator_request") == PROVENANCE["request"]
    assert np.allclose(read_labelmap(path).ijk_to_ras, labels.ijk_to_ras)
    assert [p.name for p in tmp_path.iterdir()] == ["s.seg.nrrd"]


def test_slicer_reads_it(tmp_path: Path) -> None:
    slicer = pytest.importorskip("slicer")
    labels, segments = segmentation()
    write_segmentation([Layer(labels, segments)], tmp_path / "s.seg.nrrd", PROVENANCE)
    node = load_segmentation(slicer, tmp_path / "s.seg.nrrd")
    read = node.GetSegmentation()
    assert [read.GetNthSegmentID(n) for n in range(read.GetNumberOfSegments())] == [
        segment.id for segment in segments
    ]
    for record in segments:
        segment = read.GetSegment(record.id)
        assert segment.GetName() == record.name
        assert segment.GetLabelValue() == record.label
        assert np.allclose(np.array(segment.GetColor()) * 255, record.color, atol=0.01)
        assert terminology(slicer, segment) == record.terminology
        assert tag(segment, ID_TAG) == record.id
        assert np.array_equal(voxel_places(segment), places_of(labels, record.label))


def two_layers() -> list[Layer]:
    """The torso, and a box that lies partly in one of its structures, with the same label."""
    labels, segments = segmentation()
    box = np.zeros(labels.array.shape, np.uint16)
    k, j, i = (int(n[0]) for n in np.nonzero(labels.array == segments[0].label))
    box[k : k + 3, j : j + 3, i : i + 3] = segments[0].label
    record = SegmentRecord("box", "Box", segments[0].label, (1, 2, 3))
    return [
        Layer(labels, segments, {s.label: s.id for s in segments} | {77: "absent"}),
        Layer(labels.with_array(box), (record,)),
    ]


def test_slicer_reads_overlapping_layers(tmp_path: Path) -> None:
    slicer = pytest.importorskip("slicer")
    layers = two_layers()
    write_segmentation(layers, tmp_path / "s.seg.nrrd", PROVENANCE)
    read = load_segmentation(slicer, tmp_path / "s.seg.nrrd").GetSegmentation()
    assert read.GetNumberOfLayers() == 2
    for layer in layers:
        for record in layer.segments:
            places = voxel_places(read.GetSegment(record.id))
            assert np.array_equal(places, places_of(layer.labels, record.label))


def test_merged_layers_have_new_labels_and_the_later_one_is_seen() -> None:
    layers = two_layers()
    merged = merge_layers(layers)
    assert merged.label_names[merged.segments[-1].label] == "box"
    assert "absent" in merged.label_names.values()
    assert sorted(merged.label_names) == list(range(1, len(merged.label_names) + 1))
    box = layers[1].labels.array != 0
    for segment in merged.segments:
        n = 1 if segment.id == "box" else 0
        old = next(s for s in layers[n].segments if s.id == segment.id)
        expected = layers[n].labels.array == old.label
        seen = merged.labels.array == segment.label
        assert np.array_equal(seen, expected if n else expected & ~box)
    assert merge_layers(layers[:1]) is layers[0]


def test_merged_layers_with_segments_that_have_no_voxels() -> None:
    layers = two_layers()
    absent = SegmentRecord("absent", "Absent", 200, (1, 2, 3))
    erased = Layer(layers[1].labels.with_array(np.zeros_like(layers[1].labels.array)), (absent,))
    merged = merge_layers([layers[0], erased])
    assert merged.segments[-1].label in merged.label_names
    assert not np.any(merged.labels.array == merged.segments[-1].label)
    assert np.array_equal(merged.labels.array != 0, layers[0].labels.array != 0)


def load_segmentation(slicer: Any, path: Path) -> Any:
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    return node


def terminology(slicer: Any, segment: Any) -> str:
    return tag(segment, slicer.vtkSegment.GetTerminologyEntryTagName())


def tag(segment: Any, name: str) -> str:
    from vtk import reference

    text = reference("")
    return str(text) if segment.GetTag(name, text) else ""


def voxel_places(segment: Any) -> np.ndarray:
    """Sorted RAS positions (0.01 mm) of a segment's voxels, as Slicer sees them."""
    from vtk import vtkMatrix4x4
    from vtk.util.numpy_support import vtk_to_numpy

    image = segment.GetRepresentation("Binary labelmap")
    low_i, high_i, low_j, high_j, low_k, high_k = image.GetExtent()
    values = vtk_to_numpy(image.GetPointData().GetScalars())
    values = values.reshape(high_k - low_k + 1, high_j - low_j + 1, high_i - low_i + 1)
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_world = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    to_world[:3, 3] = (to_world @ [low_i, low_j, low_k, 1])[:3]
    return places_of(Image(values, to_world), segment.GetLabelValue())


def places_of(image: Image, label: int) -> np.ndarray:
    k, j, i = np.nonzero(image.array == label)
    places = (image.ijk_to_ras @ np.stack([i, j, k, np.ones_like(i)]))[:3].T
    hundredths = np.rint(places * 100).astype(int)
    return hundredths[np.lexsort(hundredths.T)]
