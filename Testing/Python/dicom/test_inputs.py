"""A folder with one series gives an image as a file does; what is not one and whole is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from SampleData.bad_inputs import SHAPE, dicom_series, dicom_slice, only_rtstruct
from SampleData.dicom_series import made_slices, save, uid
from SampleData.phantoms import torso_ct

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import write_nifti
from TotalSegmentatorLib.inputs import read_input

VOXELS = torso_ct(SHAPE).array


def refused(path: Path, code: str) -> str:
    """The message with which a folder is refused."""
    with pytest.raises(InputError) as caught:
        read_input(path)
    assert caught.value.code == code
    return caught.value.message


def test_a_file(tmp_path: Path) -> None:
    write_nifti(torso_ct(SHAPE), tmp_path / "i.nii.gz")
    assert np.array_equal(read_input(tmp_path / "i.nii.gz")[0].array, VOXELS)


def test_a_dicom_folder(tmp_path: Path) -> None:
    dicom_series(tmp_path)
    image, notices = read_input(tmp_path)
    assert notices == ()
    assert image.array.dtype == np.int16
    assert np.array_equal(image.array, VOXELS)
    expected = np.diag([-3.0, -3.0, 4.0, 1.0])
    expected[:3, 3] = (13.5, 10.5, 0)
    assert np.allclose(image.ijk_to_ras, expected)


def test_file_names_do_not_order_a_series(tmp_path: Path) -> None:
    for number, path in enumerate(reversed(dicom_series(tmp_path))):
        path.rename(tmp_path / f"{number:02}.dcm")
    assert np.array_equal(read_input(tmp_path)[0].array, VOXELS)


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, 1, 0)])
def test_slices_run_along_the_normal(direction: tuple[int, ...], tmp_path: Path) -> None:
    """A patient lying face down turns the normal, and with it the order of the slices."""
    for k in range(SHAPE[0]):
        ds = dicom_slice(k)
        ds.ImageOrientationPatient = list(direction)
        ds.save_as(tmp_path / f"{k}.dcm", enforce_file_format=True)
    image, _ = read_input(tmp_path)
    for k in range(SHAPE[0]):
        index = k if direction[0] > 0 else SHAPE[0] - 1 - k
        assert np.array_equal(image.array[index], VOXELS[k])
        assert np.isclose((image.ijk_to_ras @ [0, 0, index, 1])[2], 4.0 * k)


def test_an_oblique_series(tmp_path: Path) -> None:
    cosine, sine = np.cos(0.3), np.sin(0.3)
    for k in range(SHAPE[0]):
        ds = dicom_slice(k)
        ds.ImageOrientationPatient = [1, 0, 0, 0, round(cosine, 6), round(sine, 6)]
        ds.ImagePositionPatient = [-10, round(-4 * k * sine, 4), round(4 * k * cosine, 4)]
        ds.PixelSpacing = [2, 3]  # between rows, between columns
        ds.save_as(tmp_path / f"{k}.dcm", enforce_file_format=True)
    image, _ = read_input(tmp_path)
    assert np.allclose(image.spacing, (3, 2, 4), atol=1e-3)
    assert np.allclose(
        (image.ijk_to_ras @ [0, 1, 0, 1])[:3], [10, -2 * cosine, 2 * sine], atol=1e-3
    )
    assert np.array_equal(image.array, VOXELS)


def test_what_lies_beside_a_series_is_left_out(tmp_path: Path) -> None:
    paths = dicom_series(tmp_path)
    (tmp_path / "copy.dcm").write_bytes(paths[0].read_bytes())  # the same image twice
    (tmp_path / "notes.txt").write_text("junk")
    (tmp_path / "zero").touch()
    only_rtstruct(tmp_path)
    assert np.array_equal(read_input(tmp_path)[0].array, VOXELS)


def test_a_series_in_a_folder_of_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "DICOM" / "IM0"
    inner.mkdir(parents=True)
    dicom_series(inner)
    if sys.platform != "win32":
        (inner / "loop").symlink_to(tmp_path)
    assert np.array_equal(read_input(tmp_path)[0].array, VOXELS)


def test_several_series_are_counted(tmp_path: Path) -> None:
    save(made_slices(), tmp_path, "a")
    save(made_slices(series=4)[:5], tmp_path, "b")
    assert "CT with 8 images, CT with 5 images" in refused(tmp_path, "input.several_series")


def test_several_volumes_are_told_apart(tmp_path: Path) -> None:
    save(made_slices(TriggerTime=0), tmp_path, "a")
    later = made_slices(TriggerTime=40)
    for ds in later:
        ds.SOPInstanceUID = uid(ds.SOPInstanceUID)
    save(later, tmp_path, "b")
    message = refused(tmp_path, "input.several_volumes")
    assert "trigger time 0 ms, trigger time 40 ms" in message


def test_a_series_beside_which_there_is_a_scout_or_a_screenshot(tmp_path: Path) -> None:
    save(made_slices(), tmp_path, "a")
    save(made_slices(series=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), tmp_path, "b")
    save(made_slices(series=9, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), tmp_path, "c")
    save(made_slices(series=2)[:2], tmp_path, "d")  # a scout that does not say so
    save(made_slices(series=5, ImagePositionPatient=[0, 0, 0]), tmp_path, "e")
    assert read_input(tmp_path)[0].array.shape[0] == 8


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "input.localizer"),
        ({"Modality": "US"}, "input.modality"),
    ],
)
def test_nothing_but_what_cannot_be_segmented(attributes, code: str, tmp_path: Path) -> None:
    save(made_slices(**attributes), tmp_path)
    assert "Series 3" in refused(tmp_path, code)


def test_a_series_must_be_whole(tmp_path: Path) -> None:
    """Two slices of another size would make no volume, but may be what is looked for."""
    slices = made_slices()
    for ds in slices[-2:]:
        ds.Rows //= 2
        ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]
    save(slices, tmp_path)
    refused(tmp_path, "input.series_geometry")


def test_a_damaged_file_counts_before_all_others(tmp_path: Path) -> None:
    """Nobody knows which of the series it belongs to."""
    save(made_slices(), tmp_path, "a")
    save(made_slices(series=4), tmp_path, "b")
    (tmp_path / "c.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0\xff\xff\xff\xff")
    path = tmp_path / "b0002.dcm"
    path.write_bytes(path.read_bytes()[:-9])
    assert "b0002.dcm" in refused(tmp_path, "input.damaged")


def test_messages_do_not_hold_what_may_name_the_patient(tmp_path: Path) -> None:
    folder = tmp_path / "input"
    save(made_slices(SeriesDescription="Doe^John", StudyID="Doe^John"), folder / "Doe John")
    (folder / "Doe John" / "0002.dcm").unlink()
    (folder / "Doe John" / "0003.dcm").unlink()
    message = refused(folder, "input.series_geometry")
    assert "Doe" not in message and "Series 3 lacks 2 slices" in message
