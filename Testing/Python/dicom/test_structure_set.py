"""Structure sets: contours that give the labels back, on the slices they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_orders import content, made_order, source_of_slices
from pydicom import dcmread
from pydicom.dataset import Dataset
from SampleData.dicom_series import (
    Grid,
    Orientation,
    multiframe,
    orientations,
    random_orientations,
    save,
    slices_of,
)
from support.polygons import filled
from support.standard import errors_of

from TotalSegmentatorLib.catalog.terminology import LEFT, RIGHT, Code
from TotalSegmentatorLib.dicom.orders import Order, SegmentContent
from TotalSegmentatorLib.dicom.writing.structure_set import write_structure_set

SHAPE = (4, 12, 16)
KIDNEY = Code("SCT", "64033007", "Kidney")
SEGMENTS = (
    content(
        1,
        name="Right kidney",
        type=KIDNEY,
        type_modifier=RIGHT,
        description="2 : kidney_right",
        color=(34, 102, 136),
        volume_ml=123.456789012345678,
    ),
    content(
        2,
        name="Left kidney cyst",
        category=Code("SCT", "49755003", "Morphologically Altered Structure"),
        type=Code("SCT", "367643001", "Cyst"),
        region=KIDNEY,
        region_modifier=LEFT,
    ),
    content(3, region=Code("99TSEG", "alveolar_canal", "Inferior alveolar canal"), made="MANUAL"),
    content(4, name="Not found"),
)
NAMES = ["Right kidney", "Left kidney cyst", "Structure 3"]


def some_labels(shape: tuple[int, int, int]) -> np.ndarray:
    """A ring with an island in its hole, a voxel in a corner, a part on one slice; no liver."""
    labels = np.zeros(shape, np.uint8)
    labels[:-1, 1:7, 1:7] = 1
    labels[:-1, 2:6, 2:5] = 0
    labels[0, 3:5, 3] = 1
    labels[-1, 0, -1] = 2
    labels[1, -1, 2:] = 3
    return labels


def order_for(
    slices: Sequence[Dataset], folder: Path, contents: Sequence[SegmentContent] = SEGMENTS
) -> Order:
    (header,) = save(slices[:1], folder / "images")
    return made_order(source_of_slices(slices, header), [], folder / "written", contents)


def written(order: Order, *labels: np.ndarray) -> Dataset:
    path = order.folder / "rtstruct.dcm"
    write_structure_set(order, labels, path, lambda: None)
    return dcmread(path)


@pytest.fixture
def slices() -> list[Dataset]:
    return slices_of(np.zeros(SHAPE, np.int16))


@pytest.fixture
def order(slices: list[Dataset], tmp_path: Path) -> Order:
    return order_for(slices, tmp_path)


@pytest.fixture
def order_for_frames(slices: list[Dataset], order: Order, tmp_path: Path) -> Order:
    """The same slices as frames of one file."""
    enhanced = multiframe(slices)
    (header,) = save([enhanced], tmp_path / "enhanced")
    file = {"sop_class": enhanced.SOPClassUID, "sop_instance": enhanced.SOPInstanceUID}
    frames = (replace(one, frame=k, **file) for k, one in enumerate(order.source.slices, 1))
    return replace(order, source=replace(order.source, header=header, slices=tuple(frames)))


def by_name(document: Dataset) -> dict[str, tuple[Dataset, Dataset, Dataset]]:
    """Region, contours and observation of each name."""
    regions = zip(
        document.StructureSetROISequence,
        document.ROIContourSequence,
        document.RTROIObservationsSequence,
        strict=True,
    )
    found = {}
    for region, contours, observation in regions:
        numbers = {region.ROINumber, contours.ReferencedROINumber, observation.ReferencedROINumber}
        assert len(numbers) == 1
        found[region.ROIName] = region, contours, observation
    return found


def in_pixels(contour: Dataset, image: Dataset) -> np.ndarray:
    """Row and column of a contour's points, which must lie in the image's plane."""
    along_row, along_column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    row_distance, column_distance = map(float, image.PixelSpacing)
    axes = along_column * row_distance, along_row * column_distance
    matrix = np.column_stack([*axes, np.cross(along_row, along_column)])
    points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
    rows, columns, heights = np.linalg.solve(
        matrix, (points - np.array(image.ImagePositionPatient, float)).T
    )
    assert np.abs(heights).max() < 0.001
    assert contour.NumberOfContourPoints == len(points) >= 3
    return np.column_stack([rows, columns])


def mask_of(contours: Dataset, slices: Sequence[Dataset]) -> np.ndarray:
    """What the contours hold, and nothing twice."""
    places = {one.SOPInstanceUID: k for k, one in enumerate(slices)}
    counts = np.zeros((len(slices), slices[0].Rows, slices[0].Columns), int)
    for contour in contours.ContourSequence:
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        (image,) = contour.ContourImageSequence
        known = places.get(image.ReferencedSOPInstanceUID)
        k = image.ReferencedFrameNumber - 1 if known is None else known
        counts[k] += filled(in_pixels(contour, slices[k]), counts.shape[1:])
    assert counts.max() == 1
    return counts > 0


@pytest.mark.parametrize(
    "orientation", [*orientations(), *random_orientations(12, seed=4)], ids=lambda one: one.name
)
def test_filling_the_contours_gives_the_labels_back(
    orientation: Orientation, tmp_path: Path
) -> None:
    labels = some_labels(orientation.shape)
    slices = slices_of(np.zeros(orientation.shape, np.int16), orientation.grid)
    found = by_name(written(order_for(slices, tmp_path), labels))
    assert list(found) == NAMES
    for label, (_, contours, _) in enumerate(found.values(), 1):
        np.testing.assert_array_equal(mask_of(contours, slices), labels == label)


def test_frames_of_an_enhanced_image_are_named(
    order_for_frames: Order, slices: list[Dataset]
) -> None:
    labels = some_labels(SHAPE)
    document = written(order_for_frames, labels)
    _, contours, _ = by_name(document)["Right kidney"]
    np.testing.assert_array_equal(mask_of(contours, slices), labels == 1)
    (image,) = referenced_images(document)
    assert image.ReferencedSOPInstanceUID == order_for_frames.source.slices[0].sop_instance
    assert image.ReferencedFrameNumber == [1, 2, 3, 4]


def test_points_are_exact_to_a_thousandth_of_a_millimetre(tmp_path: Path) -> None:
    grid = Grid((0.6, 0.8, 0.0), (-0.8, 0.6, 0.0), (0.4883, 0.4883, 1.0), (-1e4 / 3, 0.0, 1e4 / 7))
    slices = slices_of(np.zeros((2, 12, 16), np.int16), grid)
    labels = some_labels((2, 12, 16)) == 1
    ((_, contours, _),) = by_name(written(order_for(slices, tmp_path), labels * 1)).values()
    for contour in contours.ContourSequence:
        halves = 2 * in_pixels(contour, slices[0])
        assert np.abs(halves - halves.round()).max() / 2 * 0.4883 < 0.001


def referenced_images(document: Dataset) -> Sequence[Dataset]:
    (frame_of_reference,) = document.ReferencedFrameOfReferenceSequence
    assert frame_of_reference.FrameOfReferenceUID == document.FrameOfReferenceUID
    (study,) = frame_of_reference.RTReferencedStudySequence
    assert study.ReferencedSOPInstanceUID == document.StudyInstanceUID
    (series,) = study.RTReferencedSeriesSequence
    return series.ContourImageSequence


def test_it_belongs_to_the_images(order: Order, slices: list[Dataset]) -> None:
    document = written(order, some_labels(SHAPE))
    images = referenced_images(document)
    assert [one.ReferencedSOPInstanceUID for one in images] == [s.SOPInstanceUID for s in slices]
    assert {one.ReferencedSOPClassUID for one in images} == {slices[0].SOPClassUID}
    assert all("ReferencedFrameNumber" not in one for one in images)
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert document[keyword].value == slices[0][keyword].value
    regions = document.StructureSetROISequence
    assert {r.ReferencedFrameOfReferenceUID for r in regions} == {document.FrameOfReferenceUID}
    assert (document.Modality, document.SeriesNumber) == ("RTSTRUCT", 325)
    assert document.SeriesDescription == "TotalSegmentator(v2.18.0) Structures of Series 3"
    assert document.StructureSetLabel == "TotalSegmentator"


def test_what_a_region_is_stands_in_codes_with_modifiers(order: Order) -> None:
    document = written(order, some_labels(SHAPE))
    kidney, cyst, canal = (found[2] for found in by_name(document).values())
    (code,) = kidney.RTROIIdentificationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("64033007", "SCT")
    assert code.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert kidney.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    assert kidney.RTROIInterpretedType == "ORGAN"
    assert "AnatomicRegionSequence" not in kidney
    (code,) = cyst.RTROIIdentificationCodeSequence
    assert "SegmentedPropertyTypeModifierCodeSequence" not in code
    assert cyst.AnatomicRegionSequence[0].CodeMeaning == "Kidney"
    assert cyst.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeMeaning == "Left"
    assert cyst.RTROIInterpretedType == ""
    assert canal.AnatomicRegionSequence[0].CodingSchemeDesignator == "99TSEG"
    (scheme,) = document.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99TSEG"


def test_what_a_region_is_called_and_made_by(order: Order) -> None:
    regions = by_name(written(order, some_labels(SHAPE)))
    region, contours, _ = regions["Right kidney"]
    assert region.ROIDescription == "TotalSegmentator 2 : kidney_right"
    assert float(region.ROIVolume) == pytest.approx(123.456789)
    assert region.ROIGenerationAlgorithm == "AUTOMATIC"
    assert region.ROIGenerationDescription == "TotalSegmentator 2.18.0 total"
    assert contours.ROIDisplayColor == [34, 102, 136]
    region, _, _ = regions["Structure 3"]
    assert region.ROIGenerationAlgorithm == "MANUAL"
    assert "ROIGenerationDescription" not in region


def test_a_demo_says_so(order: Order) -> None:
    order = replace(order, algorithm=replace(order.algorithm, demo=True))
    document = written(order, some_labels(SHAPE))
    assert document.StructureSetLabel == "DEMO MODEL"
    assert document.SeriesDescription.startswith("DEMO MODEL ")
    assert document.StructureSetROISequence[0].ROIGenerationDescription.startswith("DEMO MODEL ")


def test_structures_of_several_layers_may_overlap(slices: list[Dataset], tmp_path: Path) -> None:
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[0, :2, 2:9, 2:9] = 1
    layers[1, 1:, 4:, 4:] = 1
    order = order_for(slices, tmp_path, [content(1, name="below"), content(1, 1, name="above")])
    found = by_name(written(order, *layers))
    for name, labels in zip(("below", "above"), layers, strict=True):
        np.testing.assert_array_equal(mask_of(found[name][1], slices), labels == 1)


def test_numbers_are_short_and_there_may_be_many(tmp_path: Path) -> None:
    """More than the 64 kB that a number may take in files with an explicit VR."""
    labels = np.zeros((2, 151, 151), np.uint8)
    labels[0] = 1
    labels[0, 1:-1:2, 1:-1:2] = 0
    grid = Grid(origin=(-1234.56789, 0.0, 9999.99999))
    slices = slices_of(np.zeros(labels.shape, np.int16), grid)
    (item,) = written(order_for(slices, tmp_path), labels).ROIContourSequence
    (contour,) = item.ContourSequence
    numbers = contour.get_item("ContourData").value.decode("ascii").strip().split("\\")
    assert len(numbers) == 3 * contour.NumberOfContourPoints
    assert sum(map(len, numbers)) > 0xFFFF
    assert max(map(len, numbers)) <= 16
    assert "-0.0000" not in numbers


def test_it_can_be_stopped(order: Order) -> None:
    path = order.folder / "rtstruct.dcm"
    with pytest.raises(ZeroDivisionError):
        write_structure_set(order, [some_labels(SHAPE)], path, lambda: 1 / 0)
    assert not path.exists()


def test_the_standard_is_kept(order: Order, order_for_frames: Order, tmp_path: Path) -> None:
    anonymous = slices_of(np.zeros(SHAPE, np.int16), PatientName="", PatientID="", StudyDate=None)
    for one in (order, order_for_frames, order_for(anonymous, tmp_path / "anonymous")):
        written(one, some_labels(SHAPE))
        assert errors_of(one.folder / "rtstruct.dcm") == []
