"""Numbers per structure, on labelmaps whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.report import empty_notice, measure, segment_records

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
