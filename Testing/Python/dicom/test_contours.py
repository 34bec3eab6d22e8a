"""Outlines of labels: filling them gives the labels back, and no line crosses another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from support.polygons import filled

from TotalSegmentatorLib.dicom.writing.contours import outlines

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def outlines_of(mask: np.ndarray) -> list[np.ndarray]:
    return dict(outlines(mask.astype(np.uint8))).get(1, [])


def count_of_pixels(mask: np.ndarray) -> np.ndarray:
    """In how many polygons of the mask each pixel lies."""
    return sum((filled(p, mask.shape) for p in outlines_of(mask)), np.zeros(mask.shape, int))


def crossings(polygons: list[np.ndarray]) -> int:
    """Pairs of lines, of one polygon or of two, that cross each other truly."""
    begin = 2 * np.concatenate(polygons)
    end = 2 * np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])

    def side(point: np.ndarray) -> np.ndarray:
        """Of each line (row), on which side each point (column) is; numbers are whole."""
        (y, x), (v, u) = (end - begin).T[..., None], np.moveaxis(point - begin[:, None], -1, 0)
        return np.sign(y * u - x * v)

    apart = side(begin) * side(end) < 0
    return int((apart & apart.T).sum()) // 2


def ring(size: int, width: int = 1) -> np.ndarray:
    mask = np.ones((size, size), dtype=bool)
    mask[width:-width, width:-width] = False
    return mask


@given(MASKS)
def test_filling_gives_the_pixels_back_each_in_one_polygon(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(count_of_pixels(mask), mask)


@given(MASKS.filter(np.any))
def test_nothing_crosses(mask: np.ndarray) -> None:
    assert crossings(outlines_of(mask)) == 0


def test_the_judge_of_crossings_sees_one() -> None:
    assert crossings([np.array([[0, 0], [2, 2], [0, 2], [2, 0]])]) == 1


@given(MASKS)
def test_points_are_needed_and_midway_between_two_pixels(mask: np.ndarray) -> None:
    for polygon in outlines_of(mask):
        assert len(polygon) >= 4
        np.testing.assert_array_equal((2 * polygon % 2).sum(axis=1), 1)
        to_next = np.roll(polygon, -1, axis=0) - polygon
        direction = to_next / np.linalg.norm(to_next, axis=1, keepdims=True)
        assert (np.abs(direction - np.roll(direction, 1, axis=0)).sum(axis=1) > 0.1).all()


def test_blobs_with_holes_and_islands() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(7).normal(size=(60, 50)), 1.0)
    mask = noise > np.quantile(noise, 0.4)
    assert ndimage.label(mask)[1] > 9 and ndimage.label(~mask)[1] > 9
    np.testing.assert_array_equal(count_of_pixels(mask), mask)
    assert crossings(outlines_of(mask)) == 0


@pytest.mark.parametrize(
    ("mask", "polygons"),
    [
        (np.ones((1, 1), bool), 1),
        (np.ones((4, 6), bool), 1),
        (np.eye(5, dtype=bool), 5),  # pixels that touch at corners stay apart ...
        (~np.eye(5, dtype=bool), 2),  # ... and so do the two sides of a diagonal
        (ring(5), 1),
        (np.pad(ring(5), 2) | ring(9), 2),  # a ring in the hole of a ring
        (ring(9) | np.pad(np.ones((1, 1), bool), 4), 2),
    ],
)
def test_number_of_polygons(mask: np.ndarray, polygons: int) -> None:
    assert len(outlines_of(mask)) == polygons
    np.testing.assert_array_equal(count_of_pixels(mask), mask)


def test_a_chain_of_holes_hangs_on_one_outline() -> None:
    mask = np.ones((2001, 3), dtype=bool)
    mask[1::2, 1] = False
    (polygon,) = outlines_of(mask)
    assert len(polygon) == 8 + 1 + 1000 * (4 + 2)  # the first slit begins amid a line


def test_a_square_has_eight_points() -> None:
    (polygon,) = outlines_of(np.ones((5, 5), dtype=bool))
    assert {tuple(point) for point in polygon} == {
        (y, x)
        for near, far in ((-0.5, 0), (-0.5, 4), (4.5, 0), (4.5, 4))
        for y, x in ((near, far), (far, near))
    }


def test_labels_are_found_where_they_are() -> None:
    labels = np.random.default_rng(3).integers(0, 5, (20, 30)).astype(np.uint16) * 7
    again = np.zeros_like(labels)
    for label, polygons in outlines(labels):
        for polygon in polygons:
            again[filled(polygon, labels.shape)] = label
    np.testing.assert_array_equal(again, labels)


def test_a_slice_without_labels_has_no_outlines() -> None:
    assert list(outlines(np.zeros((4, 4), dtype=np.uint8))) == []
