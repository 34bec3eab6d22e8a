"""Regions and the scene's own voxels, from request to result, with an engine that thresholds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from bright_blocks import MATRIX, REGION, SHAPE, volume
from SampleData.grids import tilted

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import Image, corners, crop, same_grid, voxel_box
from TotalSegmentatorLib.jobs import Request, Stage
from TotalSegmentatorLib.report import input_record
from TotalSegmentatorLib.segment import Frame, segment, segment_frames


def expected(image: Image, region) -> np.ndarray:
    labels = (image.array > 100).astype(int) + (image.array > 300)
    inside = np.zeros(SHAPE, bool)
    inside[voxel_box(image, region)] = True
    return np.where(inside, labels, 0)


@pytest.mark.parametrize("degrees", [0, 12])
def test_only_the_region_is_segmented_and_its_labels_lie_on_the_image(threshold, runs, degrees):
    image = volume(tilted(MATRIX, degrees) if degrees else MATRIX)
    request = Request("body", structures=("body_trunc", "body_extremities"), region=REGION)
    result = segment(image, request, threshold).wait()
    (layer,) = result.layers
    assert same_grid(layer.labels, image)
    wanted = expected(image, REGION)
    assert wanted.any()
    if degrees:  # voxels at borders of blocks are mixed when the crop is straightened
        core = np.zeros(SHAPE, bool)
        core[voxel_box(image, REGION)] = True
        assert not layer.labels.array[~core].any()
        assert np.mean(layer.labels.array == wanted) > 0.98
    else:
        assert np.array_equal(layer.labels.array, wanted)
    assert list(runs.iterdir()) == []


def test_numbers_of_a_region_are_those_of_the_whole_image(threshold, runs):
    image = volume()
    request = Request("body", structures=("body_trunc", "body_extremities"), region=REGION)
    report = segment(image, request, threshold).wait().report
    trunk, limbs = report["structures"]
    wanted = expected(image, REGION)
    for structure, value in ((trunk, 1), (limbs, 2)):
        k, j, i = np.nonzero(wanted == value)
        assert structure["voxels"] == k.size
        assert structure["bbox_ijk"] == tuple((a.min(), a.max()) for a in (i, j, k))
        center = (image.ijk_to_ras @ [i.mean(), j.mean(), k.mean(), 1])[:3]
        assert structure["centroid_ras"] == pytest.approx(center, abs=0.01)
    assert trunk["touches_border"]  # of the region, which cuts it; it is whole in the image
    assert not limbs["touches_border"]
    assert Request.from_dict(report["request"]).region == REGION
    assert "input.small_extent" in {w["code"] for w in report["warnings"]}
    assert any("The region shows only" in w["message"] for w in report["warnings"])


def test_a_region_of_frames_is_taken_in_each_frame_s_own_place(threshold, runs):
    moved = MATRIX.copy()
    moved[:3, 3] += (6, 4, 0)
    frames = [Frame(volume()), Frame(volume(moved), raw=True)]
    request = Request("body", structures=("body_trunc", "body_extremities"), region=REGION)
    results = segment_frames(iter(frames), 2, request, threshold, "CT").wait()
    for frame, result in zip(frames, results, strict=True):
        labels = result.layers[0].labels
        assert np.array_equal(labels.array, expected(frame.image, REGION))
        assert same_grid(labels, frame.image)


def test_a_region_beside_the_image_is_refused_before_anything_is_started(threshold, runs):
    far = corners((500, 600, 500, 600, 500, 600))
    with pytest.raises(InputError) as caught:
        segment(volume(), Request("body", region=far), threshold)
    assert caught.value.code == "input.region_outside"
    job = segment_frames(iter([Frame(volume())]), 1, Request("body", region=far), threshold)
    with pytest.raises(InputError, match="Frame 1: The region lies outside") as caught:
        job.wait()
    assert caught.value.code == "input.region_outside"


@pytest.mark.parametrize(
    ("kind", "region"), [(np.int16, ()), (np.int16, REGION), (np.float64, REGION)]
)
def test_raw_voxels_are_copied_in_the_job_and_may_change_afterwards(threshold, runs, kind, region):
    image = volume(kind=kind)
    untouched = volume(kind=kind)
    threads: list[threading.Thread] = []
    events: list = []

    @contextmanager
    def reading() -> Iterator[None]:
        yield
        threads.append(threading.current_thread())
        image.array[:] = 0  # as a user would who goes on working

    request = Request("body", region=region)
    job = segment(image, request, threshold, on_event=events.append, raw=True, reading=reading())
    result = job.wait()
    assert len(threads) == 1 and threads[0] is not threading.main_thread()
    assert Stage("Reading the volume") in events
    labels = result.merged().labels
    assert np.array_equal(labels.array, expected(untouched, region))
    part = crop(untouched, voxel_box(untouched, region))
    if kind is np.int16:  # the whole image, also of a region: the report tells which one it was
        assert result.report["input"]["sha256"] == input_record(untouched, "")["sha256"]
    trunk = next(s for s in result.report["structures"] if s["id"] == "body_trunc")
    assert trunk["hu"]["mean"] == pytest.approx(part.array[part.array == 200].mean())


def test_what_is_wrong_with_raw_voxels_is_told_by_the_job(threshold, runs):
    voxels = volume(kind=np.float64)
    voxels.array[3, 3, 3:7] = np.nan
    result = segment(voxels, Request("body"), threshold, raw=True).wait()
    assert "input.nonfinite" in {w["code"] for w in result.report["warnings"]}
    for value, kind, code in (
        (np.nan, np.float32, "input.no_values"),
        (1 << 30, np.int32, "input.value_range"),
    ):
        image = Image(np.full(SHAPE, value, kind), MATRIX)
        job = segment(image, Request("body"), threshold, raw=True)
        with pytest.raises(InputError) as caught:
            job.wait()
        assert caught.value.code == code
    frames = segment_frames(iter([Frame(image, raw=True)]), 1, Request("body"), threshold)
    with pytest.raises(InputError, match=r"^Frame 1: "):
        frames.wait()


def test_values_beyond_the_region_do_not_matter(threshold, runs):
    """Only the region is read: a bad voxel elsewhere neither warns nor fails."""
    image = volume(kind=np.float64)
    image.array[0, 0, 0] = np.nan
    result = segment(image, Request("body", region=REGION), threshold, raw=True).wait()
    assert "input.nonfinite" not in {w["code"] for w in result.report["warnings"]}
