"""Every variant of a series is read right to the voxel, or refused with its reason."""

from __future__ import annotations

import re
import shutil
from copy import deepcopy
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from SampleData.dicom_series import made_slices, multiframe, random_orientations, save, write_series
from SampleData.dicom_variants import SECTIONS, VARIANTS, Expected, Maker, Volume
from support.dicom_outcomes import Outcome, Reading, outcome, refusals_of, row, volumes_of

from TotalSegmentatorLib.dicom.reading import labels_on_slices, read_volume
from TotalSegmentatorLib.dicom.series import find_series
from TotalSegmentatorLib.dicom.volumes import DicomVolume, Found
from TotalSegmentatorLib.errors import InputError, SegmentationError
from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.images.geometry import largest_distance_mm
from TotalSegmentatorLib.inputs import read_input, the_volume
from TotalSegmentatorLib.report import check_image

PAGE = Path(__file__).resolve().parents[3] / "Docs" / "dicom-checks.md"
PLACE_MM = 0.01
UID = re.compile(r"[0-9.]{1,64}")
PRIVATE = ("Phantom", "Real^", "19700102")

# What readers that do not check their input read right too: they judge ours.
SIMPLE = [
    "as it is",
    "prone",
    "decubitus",
    "feet first",
    "coronal",
    "sagittal",
    "oblique",
    "slices in any order",
    "MR",
    "slope 0.5",
    "8 bits",
    "12 bits with sign",
    *(name for name in SECTIONS["Transfer syntaxes"] if name not in ("MPEG-2", "private")),
]
QUICK = ("as it is", "oblique", "8 bits", "JPEG lossless", "JPEG-LS with sign")


@pytest.mark.parametrize(("name", "maker"), VARIANTS.items(), ids=VARIANTS)
def test_variant_of_a_made_series(name: str, maker: Maker, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    expected = made(maker, made_slices(), folder)
    came = outcome(folder)
    check(expected, came, folder)
    assert row(name, came) in PAGE.read_text("utf-8"), "run Tools/build_dicom_tables.py"


@pytest.mark.slow
@pytest.mark.parametrize("maker", VARIANTS.values(), ids=VARIANTS)
def test_variant_of_a_real_series(
    maker: Maker, dicom_ct_slices: list[Dataset], tmp_path: Path
) -> None:
    folder = tmp_path / "series"
    expected = made(maker, deepcopy(dicom_ct_slices), folder)
    check(expected, outcome(folder), folder)


def made(maker: Maker, slices: list[Dataset], folder: Path) -> Expected:
    folder.mkdir()
    return maker(slices, folder)


def volume_in(name: str, folder: Path) -> DicomVolume:
    """The volume of a variant of a made series, which is written to a new folder."""
    made(VARIANTS[name], made_slices(), folder)
    (volume,) = volumes_of(find_series(folder))
    return volume


def check(expected: Expected, came: Outcome, folder: Path) -> None:
    if expected.error:
        assert came.error
        check_error(came.error, expected.error, folder)
        return
    assert came.error is None
    assert len(came.found.series) == expected.series
    assert dict(came.found.others) == dict(expected.others)
    check_uids(came.found)
    refusals = refusals_of(came.found)
    if expected.unreadable:  # the search finds it, or reading does
        errors = [*refusals, *(reading.error for reading in came.readings)]
        assert errors and all(error.code == expected.unreadable for error in errors)
        return
    assert [refusal.code for refusal in refusals] == list(expected.refusals)
    for refusal in refusals:
        check_error(refusal, refusal.code, folder)
    for reading, true in zip(came.readings, expected.volumes, strict=True):
        check_reading(reading, true, folder)
    check_titles(came.found)
    check_choice(expected, came.found, folder)


def check_error(error: SegmentationError, code: str, folder: Path) -> None:
    assert error.code == code
    assert error.message.endswith(".") and error.remedy.endswith(".")
    check_text(error.message + error.remedy, folder)


def check_text(text: str, folder: Path) -> None:
    """One line, without the patient and without folders."""
    assert "\n" not in text
    assert str(folder.parent) not in text
    assert not any(word in text for word in PRIVATE)


def check_uids(found: Found) -> None:
    uids = []
    for series in found.series:
        info = series.info
        uids += [info.uid, info.study_uid, info.frame_of_reference_uid]
        for volume in series.volumes:
            uids += [uid for one in volume.slices for uid in (one.sop_class, one.sop_instance)]
    assert all(UID.fullmatch(uid) for uid in uids)


def check_reading(reading: Reading, true: Volume, folder: Path) -> None:
    assert reading.error is None
    assert sorted(notice.code for notice in reading.notices) == sorted(true.notices)
    for notice in reading.notices:
        check_text(notice.message, folder)
    image, volume = reading.image, reading.volume
    check_voxels(image, true)
    assert volume.shape == image.array.shape
    assert np.array_equal(volume.ijk_to_ras, image.ijk_to_ras)
    assert len(volume.slices) == true.images
    check_places(volume)
    check_labels_return(volume)


def check_voxels(image: Image, true: Volume) -> None:
    assert image.array.shape == true.array.shape
    assert image.array.dtype in (np.int16, np.float32)
    largest_error = np.abs(image.array - true.array).max()
    assert largest_error <= true.tolerance
    assert largest_distance_mm(image.ijk_to_ras, true.ijk_to_ras, true.array.shape) < PLACE_MM
    assert image.modality == true.modality


def check_places(volume: DicomVolume) -> None:
    """Every slice lies on the grid where the header says."""
    for place, one in zip(volume.places, volume.slices, strict=True):
        x, y, z = one.position
        on_grid = (volume.ijk_to_ras @ [0, 0, place, 1])[:3]
        assert np.allclose(on_grid, (-x, -y, z), atol=PLACE_MM)


def check_labels_return(volume: DicomVolume) -> None:
    """Labels of the grid come to the slices at their places."""
    labels = np.random.default_rng(0).integers(0, 4, volume.shape).astype(np.uint8)
    returned = labels_on_slices(Image(labels, volume.ijk_to_ras), volume)
    assert returned.shape == (len(volume.slices), *volume.shape[1:])
    for place, one in zip(volume.places, returned, strict=True):
        nearest = {int(np.floor(place + 0.5 + part)) for part in (-1e-3, 1e-3)}
        assert any(np.array_equal(one, labels[index]) for index in nearest)


def check_titles(found: Found) -> None:
    """The volumes of a series can be told apart."""
    for series in found.series:
        titles = [volume.title for volume in series.volumes]
        assert len(set(titles)) == len(titles)
        assert len(titles) < 2 or all(titles)
        assert [volume.number for volume in series.volumes] == list(range(1, len(titles) + 1))


def check_choice(expected: Expected, found: Found, folder: Path) -> None:
    """The same folder where one volume is asked for: nothing may be wrong with its series."""
    volumes = volumes_of(found)
    beside = ("input.modality", "input.too_small") if volumes else ()
    wrong = [code for code in expected.refusals if code not in beside]
    if len(volumes) == 1 and not wrong:
        assert the_volume(found, folder.name) is volumes[0]
        return
    several = "input.several_series" if expected.series > 1 else "input.several_volumes"
    with pytest.raises(InputError) as caught:
        the_volume(found, folder.name)
    check_error(caught.value, (*wrong, several if volumes else "input.no_image")[0], folder)


# ---- other readers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SIMPLE],
)
def test_simple_variant_is_what_others_read(name: str, tmp_path: Path) -> None:
    compare_with_others(volume_in(name, tmp_path / "series"))


@pytest.mark.parametrize("orientation", random_orientations(8), ids=lambda one: one.name)
def test_random_orientation_is_what_others_read(orientation, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(-1024, 3000, orientation.shape)
    write_series(tmp_path, array, orientation.grid)
    (volume,) = volumes_of(find_series(tmp_path))
    assert np.array_equal(read_volume(volume)[0].array, array)
    matrix = orientation.grid.ijk_to_ras
    assert largest_distance_mm(volume.ijk_to_ras, matrix, array.shape) < PLACE_MM
    if not orientation.grid.lean_mm:  # neither of them knows of tilted gantries
        compare_with_others(volume)


@pytest.mark.parametrize(
    "name",
    [
        "Enhanced CT",
        "Enhanced CT, rescale per frame",
        "Enhanced CT, frames in any order",
        "Enhanced CT, JPEG 2000",
    ],
)
def test_multiframe_is_what_highdicom_reads(name: str, tmp_path: Path) -> None:
    volume = volume_in(name, tmp_path / "series")
    theirs = highdicom.imread(volume.slices[0].path).get_volume()
    compare(volume, theirs.array, theirs.affine[:, [2, 1, 0, 3]])


@pytest.mark.slow
def test_real_series_is_what_others_read(dicom_ct: list[Path], dicom_ct_slices) -> None:
    (volume,) = volumes_of(find_series(dicom_ct))
    assert [notice.code for notice in volume.notices] == ["input.repaired_uids"]
    compare_with_itk(volume)
    compare(volume, *highdicom_volume(dicom_ct_slices))


def compare_with_others(volume: DicomVolume) -> None:
    compare_with_itk(volume)
    datasets = [pydicom.dcmread(one.path, force=True) for one in volume.slices]
    syntax = datasets[0].file_meta.get("TransferSyntaxUID")
    if syntax and get_decoder(syntax).is_available:
        compare(volume, *highdicom_volume(datasets))


def compare_with_itk(volume: DicomVolume) -> None:
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(one.path) for one in volume.slices])
    image = reader.Execute()
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    compare(volume, sitk.GetArrayFromImage(image), matrix)


def highdicom_volume(datasets: list[Dataset]) -> tuple[np.ndarray, np.ndarray]:
    """(K, J, I) and ijk to LPS."""
    volume = highdicom.get_volume_from_series(datasets)
    return volume.array, volume.affine[:, [2, 1, 0, 3]]


def compare(volume: DicomVolume, array: np.ndarray, ijk_to_lps: np.ndarray) -> None:
    """Each of our voxels has the value of another reader's voxel at the same place."""
    image, _ = read_volume(volume)
    k, j, i = np.indices(image.array.shape).reshape(3, -1)
    ours = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.ijk_to_ras @ [i, j, k, np.ones_like(i)]
    theirs = (np.linalg.inv(ijk_to_lps) @ ours)[:3]
    at = np.rint(theirs).astype(int)
    assert np.abs(theirs - at).max() < 0.01
    assert array.shape == image.array.shape
    largest_difference = np.abs(array[at[2], at[1], at[0]] - image.array[k, j, i]).max()
    assert largest_difference <= 1e-3


# ---- single findings ------------------------------------------------------------------------


@pytest.mark.slow
def test_lost_intercept_is_noticed(dicom_ct_slices: list[Dataset], tmp_path: Path) -> None:
    """Values from 0 on, in a CT: before a run people are told."""
    slices = deepcopy(dicom_ct_slices)
    for ds in slices:
        ds.RescaleIntercept = 0
    save(slices, tmp_path)
    image, _ = read_input(tmp_path)
    assert "input.not_hu" in [notice.code for notice in check_image(image, "CT")]


def test_made_identifiers_stay_the_same(tmp_path: Path) -> None:
    """After another search, and after the folder was moved or copied."""
    for name in ("no UIDs", "two series without UIDs", "a path as SeriesInstanceUID"):
        first, second = tmp_path / name / "a" / "series", tmp_path / name / "b" / "series"
        first.parent.mkdir(parents=True)
        made(VARIANTS[name], made_slices(), first)
        shutil.copytree(first, second)
        infos = [[series.info for series in find_series(at).series] for at in (first, second)]
        assert infos[0] == infos[1]
        assert all(info.repaired for info in infos[0])
        assert len({info.uid for info in infos[0]}) == len(infos[0])


def test_found_files_may_be_given_one_by_one(tmp_path: Path) -> None:
    paths = write_series(tmp_path, np.zeros((5, 8, 9), int))
    counted: list[int] = []
    (volume,) = volumes_of(find_series(paths[1:], counted.append))
    assert [one.path for one in volume.slices] == paths[1:]
    assert counted and counted[-1] == 4


def test_frames_say_where_they_are_in_their_file(tmp_path: Path) -> None:
    ds = multiframe(made_slices())
    path = tmp_path / "all.dcm"
    ds.save_as(path, enforce_file_format=True)
    (volume,) = volumes_of(find_series(tmp_path))
    assert [one.frame for one in volume.slices] == list(range(8))
    assert {one.frames for one in volume.slices} == {8}
    assert {one.sop_instance for one in volume.slices} == {ds.SOPInstanceUID}


def test_damaged_file_is_named(tmp_path: Path) -> None:
    made(VARIANTS["a truncated file"], made_slices(), tmp_path / "series")
    (series,) = find_series(tmp_path / "series").series
    assert "0003.dcm" in series.refusals[0].message


def test_transfer_syntax_is_named(tmp_path: Path) -> None:
    made(VARIANTS["MPEG-2"], made_slices(), tmp_path / "series")
    (series,) = find_series(tmp_path / "series").series
    assert "1.2.840.10008.1.2.4.100" in series.refusals[0].message


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path, np.zeros((5, 8, 9), int))
    monkeypatch.setattr("TotalSegmentatorLib.dicom.files.MAX_FILES", 4)
    with pytest.raises(InputError) as caught:
        find_series(tmp_path)
    assert caught.value.code == "input.too_many_files"
