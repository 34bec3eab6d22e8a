"""The box around the body: as large as its windows allow, and only where it saves some."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.nnunet.body_first import roomy_box
from TotalSegmentatorLib.engines.nnunet.geometry import Volume
from TotalSegmentatorLib.engines.nnunet.plans import Plans, read_plans
from TotalSegmentatorLib.engines.nnunet.windows import window_starts

STEP = 0.8


def plans_of(patch: tuple[int, int, int]) -> Plans:
    folder = catalog.task("demo").model_path
    plans, dataset = (
        json.loads((folder / name).read_text("utf-8")) for name in ("plans.json", "dataset.json")
    )
    return replace(read_plans(plans, dataset, "3d_fullres"), patch=patch, spacing=(1.5, 1.5, 1.5))


def volume_of(shape: tuple[int, int, int], spacing: float) -> Volume:
    return Volume(np.zeros(shape, np.uint8), np.diag([-spacing, -spacing, spacing, 1.0]))


def windows(box, volume: Volume, plans: Plans) -> int:
    factor = float(volume.spacing[0]) / 1.5
    shape = [round((axis.stop - axis.start) * factor) for axis in box]
    padded = [max(n, edge) for n, edge in zip(reversed(shape), plans.patch, strict=True)]
    return int(np.prod([len(s) for s in window_starts(padded, plans.patch, STEP)]))


def test_a_wide_field_of_view_is_cropped():
    volume, plans = volume_of((512, 512, 200), 0.98), plans_of((128, 128, 128))
    body = (slice(100, 400), slice(150, 380), slice(0, 200))
    box = roomy_box(volume, body, plans, STEP)
    whole = tuple(slice(0, n) for n in volume.array.shape)
    assert box is not None and windows(box, volume, plans) < windows(whole, volume, plans)


def test_nothing_is_cropped_where_nothing_is_saved():
    volume, plans = volume_of((200, 200, 200), 1.5), plans_of((128, 128, 128))
    assert roomy_box(volume, (slice(5, 195),) * 3, plans, STEP) is None


def test_the_axes_of_the_patch_are_those_of_the_volume():
    """k is left-right here, and the patch is long along it."""
    affine = np.array([[0, 0, 1.5, 0], [1.5, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 0, 1.0]])
    volume = Volume(np.zeros((64, 64, 300), np.uint8), affine)
    body = (slice(0, 64), slice(0, 64), slice(0, 190))
    assert roomy_box(volume, body, plans_of((64, 64, 100)), STEP) is not None
    assert roomy_box(volume, body, plans_of((64, 64, 300)), STEP) is None


@given(data=st.data())
@pytest.mark.filterwarnings("error")
def test_the_box_holds_the_body_and_needs_no_more_windows(data):
    patch = tuple(data.draw(st.integers(16, 64)) for _ in range(3))
    shape = tuple(data.draw(st.integers(20, 300)) for _ in range(3))
    spacing = data.draw(st.floats(0.5, 3.0))
    body = []
    for size in shape:
        start = data.draw(st.integers(0, size - 1))
        body.append(slice(start, data.draw(st.integers(start + 1, size))))
    volume, plans = volume_of(shape, spacing), plans_of(patch)
    box = roomy_box(volume, tuple(body), plans, STEP)
    if box is None:
        return
    for one, inner, size in zip(box, body, shape, strict=True):
        assert 0 <= one.start <= inner.start and inner.stop <= one.stop <= size
    whole = tuple(slice(0, n) for n in shape)
    assert windows(box, volume, plans) <= windows(tuple(body), volume, plans)
    assert windows(box, volume, plans) <= windows(whole, volume, plans)
