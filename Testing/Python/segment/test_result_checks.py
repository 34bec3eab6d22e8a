"""Warnings about a result, on the real CT with its reference labels and on spoiled copies."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import volumes
from TotalSegmentatorLib.catalog.volumes import volume_range
from TotalSegmentatorLib.images import Image, read_image, read_labelmap
from TotalSegmentatorLib.report import check_result, measure

NAMES = catalog.task("total").labels
LABELS = {name: value for value, name in NAMES.items()}


@pytest.fixture(scope="module")
def ct(sample) -> Image:
    return read_image(sample.ct)[0]


@pytest.fixture(scope="module")
def labels(sample) -> Image:
    return read_labelmap(sample.reference)


def notices(labels: Image, ct: Image, requested=(), names=NAMES):
    return check_result(measure(labels, ct, names), ct, requested)


def codes(*arguments, **keywords) -> list[str]:
    return [notice.code for notice in notices(*arguments, **keywords)]


def without(labels: Image, *names: str) -> Image:
    removed = [LABELS[name] for name in names]
    return labels.with_array(np.where(np.isin(labels.array, removed), 0, labels.array))


def moved(image: Image, matrix: np.ndarray) -> Image:
    return dataclasses.replace(image, ijk_to_ras=matrix @ image.ijk_to_ras)


def test_liver_lies_to_the_right_in_the_real_ct(ct, labels):
    found = {s.id: s for s in measure(labels, ct, NAMES) if s.found}
    assert found["liver"].centroid_ras[0] > found["spleen"].centroid_ras[0] + 100
    assert found["kidney_right"].centroid_ras[0] > found["kidney_left"].centroid_ras[0] + 100
    assert found["vertebrae_L1"].centroid_ras[2] > found["vertebrae_L5"].centroid_ras[2] + 100


def test_reference_results_are_above_suspicion(ct, labels, sample):
    assert notices(labels, ct) == ()
    small = read_image(sample.ct_small)[0]
    assert notices(read_labelmap(sample.reference_small), small) == ()


def test_mirrored_labels_are_told_once(ct, labels):
    (notice,) = notices(labels.with_array(labels.array[..., ::-1].copy()), ct)
    assert notice.code == "result.sides" and "mirrored" in notice.message


def test_mirrored_header_is_told_even_if_sides_are_named_by_place(ct, labels):
    """A network that names sides by place leaves pairs in order, but the liver on the left."""
    array = labels.array.copy()
    for name, value in LABELS.items():
        other = name.replace("right", "*").replace("left", "right").replace("*", "left")
        array[labels.array == value] = LABELS.get(other, value)
    array = array[..., ::-1].copy()
    found = notices(labels.with_array(array), ct)
    assert [notice.code for notice in found] == ["result.sides"]
    assert "liver" in found[0].message and "mirrored" in found[0].message


def test_one_exchanged_pair_is_named(ct, labels):
    array = labels.array.copy()
    array[labels.array == LABELS["kidney_left"]] = LABELS["kidney_right"]
    array[labels.array == LABELS["kidney_right"]] = LABELS["kidney_left"]
    (notice,) = notices(labels.with_array(array), ct)
    assert notice.code == "result.sides"
    assert "Right kidney" in notice.message and "left kidney" in notice.message
    assert "mirrored" not in notice.message


@pytest.fixture(scope="module")
def measured(ct, labels):
    return measure(labels, ct, NAMES)


@given(st.floats(-500, 500), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_suspicion_does_not_depend_on_where_the_patient_lies(ct, measured, shift, roll, lean):
    a, b = np.cos(roll), np.sin(roll)
    c, d = np.cos(lean), np.sin(lean)
    place = np.array([[a, -b, 0, shift], [b, a, 0, -shift], [0, 0, 1, shift], [0, 0, 0, 1]])
    place = place @ np.array([[1, 0, 0, 0], [0, c, -d, 0], [0, d, c, 0], [0, 0, 0, 1]])
    there = tuple(
        dataclasses.replace(s, centroid_ras=tuple((place @ [*s.centroid_ras, 1])[:3]))
        if s.found
        else s
        for s in measured
    )
    assert check_result(there, moved(ct, place)) == ()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("kidney_left", "The right kidney was found, but not the left one"),
        ("kidney_right", "The left kidney was found, but not the right one"),
        ("hip_right", "The left hip bone was found"),
        ("femur_left", "The right femur was found"),
    ],
)
def test_a_missing_twin_is_told(ct, labels, missing, words):
    (notice,) = notices(without(labels, missing), ct)
    assert notice.code == "result.one_sided"
    assert notice.message.startswith(words)


def test_a_twin_outside_the_image_is_not_missed(ct, labels):
    """The left half of the CT, as a small field of view would show it."""
    half = ct.shape_ijk[0] // 2 + 4
    cut = Image(labels.array[..., :half].copy(), labels.ijk_to_ras)
    image = Image(ct.array[..., :half].copy(), ct.ijk_to_ras)
    found = {s.id for s in measure(cut, image, NAMES) if s.found}
    assert "kidney_left" in found and "kidney_right" not in found
    assert "result.one_sided" not in codes(cut, image)


def test_a_twin_that_nobody_looked_for_is_not_missed(ct, labels):
    names = {value: name for value, name in NAMES.items() if name != "kidney_left"}
    assert codes(without(labels, "kidney_left"), ct, names=names) == []


def test_lungs_are_judged_by_all_their_lobes(ct, labels):
    array = np.zeros_like(labels.array)
    array[20:100, 20:80, 5:40] = LABELS["lung_upper_lobe_left"]
    array[20:50, 20:80, 5:40] = LABELS["lung_lower_lobe_left"]
    array[40:60, 20:30, 58:64] = LABELS["vertebrae_T8"]
    assert codes(labels.with_array(array), ct).count("result.one_sided") == 1
    array[60:90, 20:80, 80:110] = LABELS["lung_middle_lobe_right"]
    assert "result.one_sided" not in codes(labels.with_array(array), ct)


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_wrong_spacing_gives_implausible_volumes(ct, labels, factor):
    scale = np.diag([factor, factor, factor, 1])
    (notice,) = notices(moved(labels, scale), moved(ct, scale))
    assert notice.code == "result.implausible_volume"
    assert "spacing" in notice.message and "more" in notice.message


def test_a_single_implausible_organ_is_named_with_its_range(ct, labels):
    array = labels.array.copy()
    inside = np.zeros(array.shape, bool)
    inside[2:-2, 2:-2, 2:-2] = True
    array[inside & (array == 0)] = LABELS["gallbladder"]
    (notice,) = notices(labels.with_array(array), ct)
    assert notice.code == "result.implausible_volume"
    assert notice.message.startswith("Gallbladder has ") and "1 to 300 mL" in notice.message


def test_organs_at_the_border_may_be_any_size(ct):
    array = np.zeros(ct.array.shape, np.uint8)
    array[:2, :2, :2] = LABELS["liver"]
    assert codes(ct.with_array(array), ct) == []
    array[:] = 0
    array[1:3, 1:3, 1:3] = LABELS["liver"]
    assert codes(ct.with_array(array), ct) == ["result.implausible_volume"]


def test_what_was_asked_for_and_is_missing_is_told(ct, labels):
    (notice,) = notices(labels, ct, ("liver", "heart", "brain"))
    assert notice.code == "result.not_found"
    assert "Brain, Heart;" in notice.message and "Liver" not in notice.message
    (notice,) = notices(labels, ct, [name for name in NAMES.values() if "rib" in name])
    assert "and 7 more" in notice.message
    assert notices(labels, ct, ("liver", "spleen")) == ()


def test_what_a_region_lacks_is_told_of_the_region(ct, labels):
    found = measure(labels, ct, NAMES)
    (notice,) = check_result(found, ct, ("liver", "brain"), region=True)
    assert notice.message.endswith("is it in the region?")
    (notice,) = check_result((), ct, ("liver",), region=True)
    assert notice.code == "result.empty" and "the region" in notice.message


def test_an_empty_result_is_told_once(ct):
    empty = ct.with_array(np.zeros(ct.array.shape, np.uint8))
    assert codes(empty, ct, ("liver",)) == ["result.empty"]


def test_volume_table_is_sound():
    known = {structure.id for structure in catalog.structures()}
    with open(Path(volumes.__file__).parent / "data" / "volumes.csv", encoding="utf-8") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert len(ids) == len(set(ids)) >= 40 and set(ids) <= known
    ranges = {id: volume_range(id) for id in ids}
    for id, found in ranges.items():
        assert 0 < found.low_ml < found.high_ml and found.source, id
        other = id.replace("right", "*").replace("left", "right").replace("*", "left")
        if not id.startswith("lung_"):
            assert ranges[other] == found, id
    assert volume_range("no such organ") is None
