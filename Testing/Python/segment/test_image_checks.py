"""Warnings before a run: modality, constant images, too little of the body."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib.images import Image, read_image
from TotalSegmentatorLib.inputs import read_input
from TotalSegmentatorLib.report import check_image, guess_modality

GRID = np.diag([3.0, 3.0, 3.0, 1.0])


@pytest.fixture(scope="module")
def ct(sample) -> Image:
    return read_image(sample.ct)[0]


def codes(image: Image, modality: str) -> list[str]:
    return [notice.code for notice in check_image(image, modality)]


def mr(ct: Image) -> Image:
    """The CT's anatomy with an MR's values: nothing below 0, bone and air dark, fat bright."""
    values = np.where((ct.array > -200) & (ct.array < 150), 400 - ct.array, 10)
    noise = np.random.default_rng(0).rayleigh(15, values.shape)
    return ct.with_array((values + noise).astype(np.int16))


def test_real_ct_fits_ct_tasks_and_no_others(ct, sample):
    for image in (ct, read_image(sample.ct_small)[0]):
        assert guess_modality(image) == "CT"
        assert codes(image, "CT") == []
        assert codes(image, "MR") == ["input.wrong_modality"]
        assert codes(image, "") == []


def test_mr_fits_mr_tasks_and_no_others(ct):
    image = mr(ct)
    assert guess_modality(image) == "MR"
    assert codes(image, "MR") == []
    assert codes(image, "CT") == ["input.wrong_modality"]
    assert codes(image.with_array(image.array.astype(np.float32) / 400), "CT") == [
        "input.wrong_modality"
    ]


def test_mr_with_some_negative_values_is_mr(ct):
    """Overshoot of a resampling, an empty margin far below, a normalization."""
    values = mr(ct).array.astype(np.float32)
    overshoot = values.copy()
    overshoot[::7, ::11, ::13] = -60
    padded = values.copy()
    padded[:, :20] = -1000
    normalized = (values - values.mean()) / values.std()
    for array in (overshoot, padded, normalized):
        image = ct.with_array(array)
        assert guess_modality(image) == "MR"
        assert codes(image, "MR") == []
        assert codes(image, "CT") == ["input.wrong_modality"]


def test_the_header_is_believed_before_the_values(ct):
    as_mr = dataclasses.replace(ct, modality="MR")
    assert guess_modality(as_mr) == "MR"
    assert codes(as_mr, "MR") == [] and codes(as_mr, "CT") == ["input.wrong_modality"]
    assert codes(dataclasses.replace(ct, modality="CT"), "MR") == ["input.wrong_modality"]


def test_ct_without_its_offset_is_told(ct):
    shifted = (np.clip(ct.array, -1024, None) + 1024).astype(np.int16)
    image = Image(shifted, ct.ijk_to_ras, "CT")
    assert codes(image, "CT") == ["input.not_hu"]
    assert codes(Image(shifted, ct.ijk_to_ras), "CT") == ["input.wrong_modality"]


def test_what_the_values_do_not_tell_is_left_open(ct):
    inside = ct.array[40:70, 40:60, 40:80]
    crop = Image(inside, ct.ijk_to_ras)
    assert inside.min() > -500  # no air: CT or a shifted MR
    phase = np.random.default_rng(1).integers(-4096, 4096, (40, 40, 40)).astype(np.int16)
    for image in (crop, Image(phase, GRID)):
        assert guess_modality(image) == ""
        for modality in ("CT", "MR"):
            assert "input.wrong_modality" not in codes(image, modality)


@given(st.integers(-3000, 3000), st.sampled_from(["CT", "MR", ""]))
def test_constant_images_are_told_and_nothing_else_about_their_values(value, modality):
    image = Image(np.full((20, 20, 20), value, np.int16), GRID)
    assert codes(image, modality) == ["input.constant"]


@given(
    st.tuples(*[st.integers(3, 60)] * 3),
    st.tuples(*[st.floats(0.5, 5)] * 3),
    st.permutations([0, 1, 2]),
)
def test_extent_is_measured_along_every_axis(shape, spacing, order):
    grid = np.eye(4)
    grid[:3, :3] = np.diag(spacing)[order]
    array = np.zeros(shape, np.int16)
    array[0, 0, 0] = -7
    small = min(s * n for s, n in zip(spacing, reversed(shape), strict=True)) < 50
    assert codes(Image(array, grid), "") == (["input.small_extent"] if small else [])


def test_a_small_region_is_not_called_a_small_image():
    thin = Image(np.arange(-500, 500, dtype=np.int16).reshape(10, 10, 10), np.eye(4))
    (notice,) = check_image(thin, "", region=True)
    assert notice.code == "input.small_extent"
    assert "The region shows only 10 mm" in notice.message and "scan" not in notice.message


@pytest.mark.parametrize(("written", "told"), [("CT", "CT"), ("MR", "MR"), ("PT", "")])
def test_dicom_folder_tells_its_modality(tmp_path, ct, written, told):
    write_series(tmp_path, ct.array[:4], written)
    image, _ = read_input(tmp_path)
    assert image.modality == told
    shutil.rmtree(tmp_path)


def test_files_that_say_nothing_have_no_modality(ct):
    assert ct.modality == ""


def write_series(folder, array, modality):
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k, plane in enumerate(array):
        image = sitk.GetImageFromArray(plane[None].astype(np.int16))
        image.SetSpacing((3, 3, 3))
        image.SetOrigin((0, 0, 3 * k))
        values = {
            "0008|0060": modality,
            "0008|0018": f"1.2.3.{k + 1}",
            "0020|000d": "1.2.4",
            "0020|000e": "1.2.5",
            "0020|0032": f"0\\0\\{3 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(k + 1),
        }
        for tag, value in values.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{k}.dcm"))
        writer.Execute(image)
