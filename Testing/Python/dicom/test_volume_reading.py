"""Voxels on the grid of engines, and labels back in the pixels of the original slices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from SampleData.dicom_series import (
    Grid,
    decimals,
    multiframe,
    random_orientations,
    save,
    slices_of,
    write_series,
)

from TotalSegmentatorLib.dicom import reading
from TotalSegmentatorLib.dicom.reading import labels_on_slices, read_volume, source_of
from TotalSegmentatorLib.dicom.series import find_series
from TotalSegmentatorLib.dicom.volumes import DicomVolume
from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.images import Image, straighten

SHAPE = (7, 12, 10)
VALUES = np.random.default_rng(0).integers(-1000, 1000, SHAPE)


def only(folder: Path) -> DicomVolume:
    (series,) = find_series(folder).series
    assert series.refusals == ()
    (volume,) = series.volumes
    return volume


def read(slices: list[Dataset], folder: Path) -> Image:
    save(slices, folder)
    return read_volume(only(folder))[0]


# ---- voxels ---------------------------------------------------------------------------------


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    image = read(slices_of(VALUES), tmp_path)
    assert image.array.dtype == np.int16
    assert np.array_equal(image.array, VALUES)


def test_numbers_that_are_not_whole_or_too_large(tmp_path: Path) -> None:
    for number, (slope, intercept) in enumerate(((0.5, -10), (1, 0.25), (100, 0))):
        slices = slices_of(VALUES, RescaleSlope=slope, RescaleIntercept=intercept)
        image = read(slices, tmp_path / str(number))
        assert image.array.dtype == np.float32
        assert np.allclose(image.array, (VALUES + 1024) * slope + intercept)


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    slices = slices_of(VALUES)
    slices[0].RescaleSlope, slices[5].RescaleIntercept = 2, 0
    save(slices, tmp_path)
    image, notices = read_volume(only(tmp_path))
    expected = VALUES.copy()
    expected[0] = (VALUES[0] + 1024) * 2 - 1024
    expected[5] = VALUES[5] + 1024
    assert image.array.dtype == np.int16
    assert np.array_equal(image.array, expected)
    assert [notice.code for notice in notices] == ["input.rescale"]


def test_a_missing_slice_lies_between_its_neighbours(tmp_path: Path) -> None:
    slices = slices_of(VALUES)
    del slices[3]
    image = read(slices, tmp_path)
    mean = (VALUES[2] + VALUES[4]) / 2
    assert np.abs(image.array[3] - mean).max() <= 0.5
    others = [0, 1, 2, 4, 5, 6]
    assert np.array_equal(image.array[others], VALUES[others])


def test_uneven_slices_are_interpolated(tmp_path: Path) -> None:
    """A ramp stays a ramp, whatever the distances are."""
    heights = np.array([0.0, 1, 2, 3.5, 5, 6])
    ramp = np.round(100 * heights).astype(int)[:, None, None] * np.ones((1, 4, 5), int)
    slices = slices_of(ramp, RescaleSlope=0.5, RescaleIntercept=0)
    for ds, height in zip(slices, heights, strict=True):
        ds.ImagePositionPatient = decimals([0, 0, height])
    image = read(slices, tmp_path)
    k = np.arange(len(image.array))
    z = (image.ijk_to_ras @ [0 * k, 0 * k, k, 1 + 0 * k])[2]
    assert np.allclose(image.array[:, 0, 0], (100 * z + 1024) * 0.5, atol=0.1)


@pytest.mark.parametrize(
    ("modality", "value", "is_believed"),
    [("CT", 0, True), ("CT", 1024, False), ("MR", 4095, True), ("MR", 0, True)],
)
def test_padding(modality: str, value: int, is_believed: bool, tmp_path: Path) -> None:
    """In CT only below air: 0 HU is water, whatever a header calls it."""
    array = VALUES if modality == "CT" else np.abs(VALUES) + 1
    slices = slices_of(array, modality=modality, PixelPaddingValue=value)
    offset = 1024 if modality == "CT" else 0
    for ds, plane in zip(slices, array, strict=True):
        plane = (plane + offset).astype("<u2")
        plane[:3] = value
        ds.PixelData = plane.tobytes()
        ds["PixelPaddingValue"].VR = "US"
        if modality == "CT" and value == 0:
            ds.RescaleIntercept = -1500
    image = read(slices, tmp_path)
    fill = -1024 if modality == "CT" else array[:, 3:].min()
    found = image.array[:, :3]
    assert (found == (fill if is_believed else value - offset)).all()
    if modality == "MR":
        assert np.array_equal(image.array[:, 3:], array[:, 3:])


def test_modalities(tmp_path: Path) -> None:
    for modality, told in (("CT", "CT"), ("MR", "MR"), ("PT", "")):
        slices = slices_of(np.abs(VALUES), modality="CT" if modality == "CT" else "MR")
        for ds in slices:
            ds.Modality = modality
        assert read(slices, tmp_path / modality).modality == told


def test_memory_that_is_not_enough_is_said(tmp_path: Path, monkeypatch) -> None:
    write_series(tmp_path, VALUES)
    volume = only(tmp_path)

    def fail(*_: object) -> None:
        raise MemoryError("too much")

    monkeypatch.setattr(reading, "read_pixels", fail)
    with pytest.raises(SetupError) as caught:
        read_volume(volume)
    assert caught.value.code == "memory.image_too_large"
    assert "Series 3" in caught.value.message


def test_nothing_is_left_behind(tmp_path: Path, runs: Path) -> None:
    write_series(tmp_path, VALUES)
    read_volume(only(tmp_path))
    assert list(runs.iterdir()) == []


# ---- labels ---------------------------------------------------------------------------------


def labels_at(volume: DicomVolume, labels: Image) -> np.ndarray:
    """The labels of all pixels of all slices, one by one, by their places."""
    found = np.zeros((len(volume.slices), *volume.shape[1:]), labels.array.dtype)
    to_labels = np.linalg.inv(labels.ijk_to_ras)
    for n, one in enumerate(volume.slices):
        row, column = np.reshape(one.orientation, (2, 3))
        for j, i in np.ndindex(found.shape[1:]):
            x, y, z = (
                one.position + row * one.pixel_spacing[1] * i + column * one.pixel_spacing[0] * j
            )
            index = np.rint(to_labels @ [-x, -y, z, 1])[2::-1].astype(int)
            if (index >= 0).all() and (index < labels.array.shape).all():
                found[n, j, i] = labels.array[tuple(index)]
    return found


@settings(max_examples=15)
@given(
    number=st.integers(0, 19),
    turn=st.permutations([0, 1, 2]),
    spacing=st.tuples(*[st.floats(1.0, 6.0)] * 3),
)
def test_labels_of_any_grid(number, turn, spacing, tmp_path_factory) -> None:
    """Each pixel gets the label at its place, however both grids lie."""
    orientation = random_orientations(20)[number]
    grid = replace(orientation.grid, lean_mm=0.0)
    folder = tmp_path_factory.mktemp("series")
    write_series(folder, np.zeros((4, 6, 5), int), grid)
    volume = only(folder)
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(spacing)[turn]
    centre = volume.ijk_to_ras @ [2, 2.5, 1.5, 1]
    matrix[:3, 3] = centre[:3] - matrix[:3, :3] @ [3.01, 3.02, 2.03]
    labels = Image(np.random.default_rng(0).integers(0, 9, (5, 7, 6)).astype(np.uint8), matrix)
    found = labels_on_slices(labels, volume)
    assert found.dtype == np.uint8
    assert np.array_equal(found, labels_at(volume, labels))


def test_labels_of_a_tilted_series(tmp_path: Path) -> None:
    """On its own sheared grid nothing is resampled, on the engine's the nearest label is taken."""
    write_series(tmp_path, VALUES, Grid(lean_mm=1.1))
    volume = only(tmp_path)
    labels = np.random.default_rng(1).integers(0, 9, volume.shape).astype(np.uint16)
    own = Image(labels, volume.ijk_to_ras)
    assert np.array_equal(labels_on_slices(own, volume), labels)
    straight = straighten(read_volume(volume)[0])
    other = Image((straight.array > 0).astype(np.uint8), straight.ijk_to_ras)
    assert np.array_equal(labels_on_slices(other, volume), labels_at(volume, other))


def test_labels_of_slices_at_uneven_distances(tmp_path: Path) -> None:
    slices = slices_of(VALUES)
    for ds, height in zip(slices, (0, 4, 8, 13, 18, 23, 27), strict=True):
        ds.ImagePositionPatient = decimals([0, 0, height])
    save(slices, tmp_path)
    volume = only(tmp_path)
    array = np.random.default_rng(1).integers(0, 9, volume.shape).astype(np.uint8)
    labels = Image(array, volume.ijk_to_ras)
    assert volume.shape[0] != len(volume.slices)
    assert np.array_equal(labels_on_slices(labels, volume), labels_at(volume, labels))


# ---- what results refer to ------------------------------------------------------------------


def test_source_of_a_series(tmp_path: Path) -> None:
    slices = slices_of(VALUES)
    del slices[3]
    save(slices, tmp_path)
    volume = only(tmp_path)
    source = source_of(volume)
    assert (source.study_uid, source.series_uid, source.number, source.modality) == (
        slices[0].StudyInstanceUID,
        slices[0].SeriesInstanceUID,
        3,
        "CT",
    )
    assert source.frame_of_reference_uid == slices[0].FrameOfReferenceUID
    assert (source.rows, source.columns, source.pixel_spacing) == (12, 10, (2.0, 1.5))
    assert source.slice_spacing == pytest.approx(4.0)
    assert source.header == volume.slices[0].path
    assert [one.sop_instance for one in source.slices] == [ds.SOPInstanceUID for ds in slices]
    assert {one.frame for one in source.slices} == {0}
    assert source.slices[1].position == tuple(map(float, slices[1].ImagePositionPatient))


def test_rounded_cosines_become_the_directions_of_the_grid(tmp_path: Path) -> None:
    slices = slices_of(VALUES)
    for ds in slices:
        ds.ImageOrientationPatient = ["0.71", "0.71", "0", "-0.71", "0.7", "0"]
    save(slices, tmp_path)
    volume = only(tmp_path)
    axes = volume.ijk_to_ras[:3, :2] * [[-1], [-1], [1]]  # LPS
    along = np.reshape(source_of(volume).slices[2].orientation, (2, 3))
    np.testing.assert_allclose(along, (axes / np.linalg.norm(axes, axis=0)).T, atol=1e-12)
    np.testing.assert_allclose(along @ along.T, np.eye(2), atol=1e-12)


def test_source_of_frames(tmp_path: Path) -> None:
    save([multiframe(slices_of(VALUES))], tmp_path)
    source = source_of(only(tmp_path))
    assert [one.frame for one in source.slices] == list(range(1, 8))
    assert len({one.sop_instance for one in source.slices}) == 1
