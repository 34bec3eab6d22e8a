"""Outlines of labels on a slice: closed polygons that hold exactly the label's pixels.

A vertex lies halfway between a pixel of the label and a neighbour (above, below, left or right)
that is none, so vertices have exact half-pixel coordinates and no two outlines touch. Pixels that
only touch at a corner get outlines of their own. Nothing is smoothed: whoever fills the outlines
gets the labels back.

Structure sets have no holes, only polygons. The outline of a hole is therefore joined to the one
around it by a keyhole, as the standard suggests: a slit of no width, along which the polygon goes
to the hole and comes back. It goes straight up from the hole's uppermost vertex, through pixels of
the label, to the first vertex of another outline. Outlines cross the line between two neighbouring
pixels only where the label ends, so it crosses nothing, and two slits never share a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import ndimage


def outlines(labels: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
    """The outlines of every label on a slice.

    :param labels: integers, shape (rows, columns); 0 is background.
    :return: label and its polygons, each of shape (points, 2): row and column in pixels, where
        whole numbers are centres of pixels. The last point is followed by the first.
    """
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            first = (box[0].start, box[1].start)
            yield label, [polygon + first for polygon in _polygons(labels[box] == label)]


def _polygons(mask: np.ndarray) -> list[np.ndarray]:
    """The outlines of a mask, with holes joined to the outline around them.

    Works on a grid of half pixels: pixel (r, c) is at (2 r + 2, 2 c + 2), a vertex where one
    coordinate is odd.
    """
    rows, columns = mask.shape
    grid = np.zeros((2 * rows + 4, 2 * columns + 4), dtype=bool)
    grid[2:-2:2, 2:-2:2] = mask
    inside, width = grid.ravel(), grid.shape[1]

    places, following = _vertices(inside, width)
    # Vertices are in the order of places, so each outline begins at its uppermost one.
    walked = list(_walk(following, range(places.size)))
    first = np.array([outline[0] for outline in walked])
    is_hole = inside[places[first] - width]
    if is_hole.any():
        places, following = _with_keyholes(places, following, first[is_hole], inside, width)
        walked = list(_walk(following, first[~is_hole].tolist()))
    return [_corners(places[outline], width) for outline in walked]


def _vertices(inside: np.ndarray, width: int) -> tuple[np.ndarray, list[int]]:
    """The vertices of all outlines, and which one follows which.

    :param inside: the flattened grid of half pixels.
    :param width: its columns.
    :return: places in the grid, ascending; and the position in them of each one's follower.
    """
    pixels = np.flatnonzero(inside)
    here, there = [], []
    # Going along an outline in steps of half a pixel, the label is on the left.
    for step, left in ((-width, -1), (-1, width), (width, 1), (1, -width)):
        place = pixels[~inside[pixels - 2 * left]] - left
        left_ahead = inside[place + 2 * step + left]
        right_ahead = inside[place + 2 * step - left]
        straight = np.where(right_ahead, place + step - left, place + 2 * step)
        here.append(place)
        there.append(np.where(left_ahead, straight, place + step + left))
    places = np.concatenate(here)
    order = np.argsort(places)
    places = places[order]
    return places, np.searchsorted(places, np.concatenate(there)[order]).tolist()


def _with_keyholes(
    places: np.ndarray, following: list[int], holes: np.ndarray, inside: np.ndarray, width: int
) -> tuple[np.ndarray, list[int]]:
    """The vertices with those of the slits, so that following them leads through all holes.

    :param holes: the uppermost vertex of each hole.
    """
    tops = []
    for place in places[holes].tolist():
        while inside[place - width]:
            place -= 2 * width
        tops.append(place)
    # The last vertex of each hole, which its first one follows.
    ends = np.argsort(following)[holes]
    for hole, top, end in np.stack([holes, np.searchsorted(places, tops), ends], axis=1).tolist():
        again, back = len(following), len(following) + 1
        following += [back, following[top]]
        following[top], following[end] = hole, again
    added = np.stack([places[holes], tops], axis=1).ravel()
    return np.concatenate([places, added]), following


def _walk(following: list[int], first: Iterable[int]) -> Iterator[list[int]]:
    """The outlines that the given vertices begin, each once, as lists of vertices."""
    seen = bytearray(len(following))
    for start in first:
        outline, vertex = [], start
        while not seen[vertex]:
            seen[vertex] = 1
            outline.append(vertex)
            vertex = following[vertex]
        if outline:
            yield outline


def _corners(places: np.ndarray, width: int) -> np.ndarray:
    """The points of an outline in pixels, without those amid a straight line, shape (points, 2)."""
    points = np.stack(np.divmod(places, width), axis=1)
    # Lines are level, upright or diagonal, so the signs tell their directions.
    ahead = np.sign(np.roll(points, -1, axis=0) - points)
    turns = (ahead != np.roll(ahead, 1, axis=0)).any(axis=1)
    return (points[turns] - 2) / 2
