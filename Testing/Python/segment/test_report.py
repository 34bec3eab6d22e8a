"""Numbers per structure, on labelmaps whose truth is known."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.report import (
    empty_notice,
    measure,
    segment_records,
    structures,
    write_csv,
)

SPACING = np.diag([-2.0, 3.0, 5.0, 1.0])
NAMES = {1: "liver", 2: "spleen", 5: "kidney_left"}


def make(labels: np.ndarray, intensities: np.ndarray | None = None):
    image = labels.astype(np.int16) if intensities is None else intensities
    return measure(Image(labels, SPACING), Image(image, SPACING), NAMES)


def test_box_of_known_place():
    labels = np.zeros((8, 9, 10), np.uint8)
    labels[2:4, 3:6, 0:4] = 2
    intensities = np.random.default_rng(0).normal(50, 20, labels.shape)
    liver, spleen, kidney = make(labels, intensities)
    inside = intensities[labels == 2]
    assert not liver.found and not kidney.found
    assert liver.hu is None and liver.bbox_ijk is None and liver.volume_ml == 0
    assert spleen.found and spleen.voxels == 24
    assert spleen.volume_ml == pytest.approx(24 * 30 / 1000)
    assert spleen.bbox_ijk == ((0, 3), (3, 5), (2, 3))
    assert spleen.touches_border
    assert spleen.hu.mean == pytest.approx(inside.mean(), abs=0.01)
    assert spleen.hu.sd == pytest.approx(inside.std(), abs=0.01)
    assert spleen.hu.median == pytest.approx(np.median(inside), abs=0.01)


@given(st.integers(0, 6), st.integers(0, 7), st.integers(0, 8), st.sampled_from([1, 2, 5]))
def test_border_is_touched_exactly_by_voxels_at_the_border(k, j, i, value):
    labels = np.zeros((7, 8, 9), np.uint8)
    labels[k, j, i] = value
    (found,) = (s for s in make(labels) if s.found)
    assert found.label == value
    assert found.touches_border == (k in (0, 6) or j in (0, 7) or i in (0, 8))
    assert found.bbox_ijk == ((i, i), (j, j), (k, k))


def test_segments_are_the_structures_found():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1, 1] = 5
    (record,) = segment_records(make(labels))
    assert (record.id, record.name, record.label) == ("kidney_left", "Left kidney", 5)
    assert "64033007" in record.terminology


def test_empty_result_is_not_silent():
    structures = make(np.zeros((3, 3, 3), np.uint8))
    (notice,) = empty_notice(structures)
    assert notice.code == "result.empty"
    structures = make(np.ones((3, 3, 3), np.uint8))
    assert empty_notice(structures) == ()


@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=20, unique=True),
    st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_centroid_is_the_mean_place_of_the_voxels(voxels, angles):
    a, b, c = angles
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    grid = np.eye(4)
    grid[:3, :3] = turn @ np.diag([1.5, 2.0, 3.0])
    grid[:3, 3] = (10 * a, 10 * b, 10 * c)
    labels = np.zeros((7, 7, 7), np.uint8)
    for k, j, i in voxels:
        labels[k, j, i] = 1
    image = Image(labels.astype(np.int16), grid)
    (found,) = measure(Image(labels, grid), image, {1: "liver"}, "total")
    places = np.array([(grid @ [i, j, k, 1])[:3] for k, j, i in voxels])
    assert found.centroid_ras == pytest.approx(places.mean(axis=0), abs=0.006)
    assert found.task == "total"


def test_tall_structures_are_counted_without_overflow():
    """More slices than a byte counts."""
    labels = np.zeros((700, 3, 5), np.uint8)
    labels[:, 1, 1:] = 1
    labels[600:, 2, 4] = 1
    (found,) = measure(Image(labels, np.eye(4)), Image(labels, np.eye(4)), {1: "liver"})
    k, j, i = np.argwhere(labels == 1).mean(axis=0)
    assert found.centroid_ras == pytest.approx((i, j, k), abs=0.006)


@given(st.integers(1, 3), st.floats(1, 3000), st.sampled_from([np.int16, np.float32]))
def test_intensities_do_not_depend_on_how_they_are_chunked(seed, spread, dtype):
    values = np.random.default_rng(seed).normal(-500, spread, (30, 30, 30)).astype(dtype)
    labels = np.ones(values.shape, np.uint8)
    with mock.patch.object(structures, "_CHUNK", 1000):
        (found,) = measure(Image(labels, SPACING), Image(values, SPACING), {1: "liver"})
    exact = values.astype(np.float64)
    assert found.hu.mean == pytest.approx(exact.mean(), abs=0.006)
    assert found.hu.sd == pytest.approx(exact.std(), abs=0.006)
    assert found.hu.median == pytest.approx(np.median(exact), abs=0.006)
    assert values.dtype == dtype and values[0, 0, 0] == exact[0, 0, 0]


def test_csv_has_a_row_for_every_structure(tmp_path):
    labels = np.zeros((8, 9, 10), np.uint8)
    labels[2:4, 3:6, 0:4] = 2
    found = [asdict(structure) for structure in make(labels)]
    write_csv(found, tmp_path / "out" / "structures.csv")
    # As it comes back from report.json.
    write_csv(json.loads(json.dumps(found)), tmp_path / "again.csv")
    text = (tmp_path / "out" / "structures.csv").read_text("utf-8")
    assert text == (tmp_path / "again.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["id"] for row in rows] == ["liver", "spleen", "kidney_left"]
    assert {len(row) for row in rows} == {20} and not any(None in row for row in rows)
    liver, spleen, _ = rows
    assert (spleen["found"], spleen["touches_border"], spleen["voxels"]) == ("true", "true", "24")
    assert float(spleen["volume_ml"]) == pytest.approx(0.72)
    assert float(spleen["hu_mean"]) == 2 and float(spleen["centroid_r_mm"]) == -3
    assert [spleen[f"{axis}_first"] for axis in "ijk"] == ["0", "3", "2"]
    assert [spleen[f"{axis}_last"] for axis in "ijk"] == ["3", "5", "3"]
    assert (liver["found"], liver["hu_mean"], liver["i_first"]) == ("false", "", "")


def test_csv_survives_names_with_commas_quotes_and_other_letters(tmp_path):
    name = 'Füße, "links"\nzwei'
    entry = {"id": "x", "name": name, "label": 1, "found": False}
    write_csv([entry], tmp_path / "s.csv")
    with open(tmp_path / "s.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == name and row["volume_ml"] == ""


def test_csv_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "s.csv"
    write_csv([], path)
    before = path.read_bytes()

    def broken():
        yield {"id": "x"}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_csv(broken(), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
