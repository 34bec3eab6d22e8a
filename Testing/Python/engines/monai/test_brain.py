"""T1 brains: prepared for the network, and their labels back on the original grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import brain_heads as heads
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.stats import gaussian_kde

from TotalSegmentatorLib.engines.contract import Reporter
from TotalSegmentatorLib.engines.nv_segment import SPEC
from TotalSegmentatorLib.engines.nv_segment.brain import (
    BrainOptions,
    PreparedBrain,
    alignment,
    labels_on_original,
    preparation,
    prepare_brain,
)
from TotalSegmentatorLib.engines.nv_segment.brain.grids import to_itk
from TotalSegmentatorLib.engines.nv_segment.brain.intensities import (
    brain_values,
    correct_bias,
    normalise,
)
from TotalSegmentatorLib.engines.nv_segment.brain.masks import brain_mask
from TotalSegmentatorLib.errors import CancelledError, InputError
from TotalSegmentatorLib.images import Image, crop, labels_on_grid, write_labelmap, write_nifti
from TotalSegmentatorLib.jobs import JobContext

# The brain, all but its shell, and an off-centre part: labels from this one on.
LARGE_PARTS = (1, 2, 3)
BRAIN_MM = (174, 198, 162)  # a grid's extent around a brain
TEMPLATE_HEAD = heads.pose((4, 0, -3), (1.04, 0.97, 1.06), (6, -12, 15))


@pytest.fixture
def report() -> Reporter:
    return Reporter(SPEC, JobContext(lambda event: None))


@pytest.fixture
def coarse(monkeypatch) -> None:
    """The finest level of an alignment takes most of its time."""
    monkeypatch.setattr(alignment, "_LEVELS_MM", ((8.0, 8.0), (4.0, 4.0)))


def prepare(image: Image, folder: Path, report: Reporter, options: BrainOptions) -> PreparedBrain:
    """Prepared in a folder in which nothing is left."""
    private = folder / "private folder"
    private.mkdir(exist_ok=True)
    try:
        return prepare_brain(image, options, private, report)
    finally:
        assert list(private.iterdir()) == []


def write_template(folder: Path, spacing: float) -> tuple[str, Image]:
    """A template's path and its labels."""
    place = heads.grid((spacing,) * 3, centre=(6, -12, 15), axes=(1, 0, 2), extent_mm=BRAIN_MM)
    image, labels = heads.drawn(place, TEMPLATE_HEAD, skull=False)
    path = folder / "a template.nii"
    write_nifti(image, path)
    return str(path), labels


def write_mask(folder: Path, labels: Image) -> str:
    path = folder / "a mask.nii"
    write_labelmap(labels, path, {})
    return str(path)


def overlaps(returned: Image, truth: Image) -> list[float]:
    """Dice of the large parts, on the same grid to the last bit."""
    assert np.array_equal(returned.ijk_to_ras, truth.ijk_to_ras)
    return [heads.dice(returned.array >= part, truth.array >= part) for part in LARGE_PARTS]


def farthest_mm(prepared: PreparedBrain, image_head: np.ndarray) -> float:
    """How far from its true place a point of the brain is moved at most."""
    points = np.array([[x, y, z, 1] for x in (-70, 70) for y in (-88, 88) for z in (-64, 64)]).T
    points[:3] = points[:3] / np.sqrt(3)  # on the brain's surface
    found = prepared.ijk_to_original @ np.linalg.inv(prepared.image.ijk_to_ras) @ TEMPLATE_HEAD
    return float(np.linalg.norm(((found - image_head) @ points)[:3], axis=0).max())


@pytest.fixture(scope="module")
def oblique() -> tuple[Image, Image]:
    """A brain without skull on a coarse, oblique, left-handed grid far from the origin.

    Its voxels are 3 and 5 times 3 mm long, so that none lies half-way between two of 1 or 3 mm.
    """
    place = heads.grid((9, 9, 15), (25, -15, 30), (150, -80, 300), (2, 0, 1), (1, -1, 1))
    assert np.linalg.det(place.ijk_to_ras) < 0
    head = heads.pose((10, -5, 8), shift=(150, -80, 300))
    return heads.drawn(place, head, bias=0.3, noise=10, skull=False)


def test_without_a_template_the_axes_stay(oblique, tmp_path, report, monkeypatch):
    monkeypatch.setattr(preparation, "_SPACING_MM", 3.0)  # 1 mm takes a while
    image, truth = oblique
    prepared = prepare(image, tmp_path, report, BrainOptions())
    assert prepared.image.spacing == pytest.approx((3, 3, 3))
    assert np.allclose(prepared.ijk_to_original, prepared.image.ijk_to_ras, atol=1e-9)
    assert prepared.image.array.dtype == np.float32
    assert prepared.image.array.min() == 0 and prepared.image.array.max() == 1
    high = truth.with_array(np.where(truth.array, truth.array.astype(np.uint16) + 300, 0))
    labels = labels_on_grid(high, prepared.image)
    assert heads.dice(labels.array > 0, prepared.image.array > 0.1) > 0.9
    returned = labels_on_original(labels, prepared)
    assert returned.array.dtype == labels.array.dtype
    assert np.array_equal(returned.array, high.array)
    assert np.array_equal(returned.ijk_to_ras, image.ijk_to_ras)


@pytest.mark.slow
def test_the_order_of_the_axes_in_the_file_does_not_matter(oblique, tmp_path, report):
    image, _ = oblique
    other_matrix = image.ijk_to_ras[:, [1, 2, 0, 3]].copy()
    other_matrix[:3, 3] += other_matrix[:3, 1] * (image.array.shape[0] - 1)
    other_matrix[:3, 1] *= -1
    other = Image(image.array.transpose(2, 0, 1)[:, ::-1], other_matrix)
    one, two = (prepare(each, tmp_path, report, BrainOptions()) for each in (image, other))
    assert np.allclose(one.image.ijk_to_ras, two.image.ijk_to_ras, atol=1e-9)
    assert np.allclose(one.image.array, two.image.array, atol=1e-5)
    assert one.image.spacing == pytest.approx((1, 1, 1))
    labels = one.image.with_array(np.ceil(one.image.array * 9).astype(np.uint8))
    ours, others = (labels_on_original(labels, each).array for each in (one, two))
    assert np.array_equal(ours.transpose(2, 0, 1)[:, ::-1], others)


@pytest.mark.slow
def test_a_head_is_moved_onto_the_template(tmp_path, report, coarse):
    template, labels = write_template(tmp_path, 4)
    head = heads.pose((-9, 6, 12), (0.95, 1, 0.93), (-40, 25, 8))
    place = heads.grid((5, 5, 5), (0, 0, 15), (-40, 25, 8), flips=(-1, 1, 1))
    image, truth = heads.drawn(place, head, bias=0.2, noise=10)
    options = BrainOptions(write_mask(tmp_path, truth), "", template)
    prepared = prepare(image, tmp_path, report, options)
    assert np.array_equal(prepared.image.ijk_to_ras, labels.ijk_to_ras)
    assert prepared.image.array.shape == labels.array.shape
    assert heads.dice(prepared.image.array > 0.1, labels.array > 0) > 0.95
    assert farthest_mm(prepared, head) < 2
    returned = labels_on_original(labels, prepared)
    assert min(overlaps(returned, truth)) > 0.95  # nearest voxels of 4 mm allow no more


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        heads.grid((1, 1, 1)),
        heads.grid((0.8, 0.8, 4), flips=(-1, -1, 1)),
        heads.grid((4, 1, 1), (20, -12, 25), (70, 300, -200), (2, 1, 0)),
        heads.grid((1.2, 1, 1.4), (-25, 10, 5), axes=(1, 2, 0), flips=(1, 1, -1)),
    ],
    ids=["straight", "thick slices", "oblique sagittal far away", "left-handed"],
)
def test_labels_come_back(tmp_path, report, place):
    template, labels = write_template(tmp_path, 1)
    centre = place.ijk_to_ras[:3] @ [*(np.array(place.shape_ijk) - 1) / 2, 1]
    head = heads.pose((-14, 8, 16), (0.92, 0.96, 0.9), tuple(np.add(centre, (4, -5, 3))))
    image, truth = heads.drawn(place, head, bias=0.2, noise=10)
    prepared = prepare(
        image, tmp_path, report, BrainOptions(write_mask(tmp_path, truth), "", template)
    )
    returned = labels_on_original(labels, prepared)
    assert farthest_mm(prepared, head) < 1
    assert min(overlaps(returned, truth)) >= 0.99
    assert all(heads.dice(returned.array == n, truth.array == n) > 0.95 for n in range(1, 6))


@pytest.mark.slow
def test_the_bias_field_goes():
    head = heads.pose()
    place = heads.grid((8, 8, 8))
    image, labels = heads.drawn(place, head, bias=0.4, skull=False)
    straight, _ = heads.drawn(place, head, skull=False)
    corrected = correct_bias(to_itk(image))
    white = labels.array == 2

    def unevenness(values: np.ndarray) -> float:
        ratios = values[white] / straight.array[white]
        return float(ratios.std() / ratios.mean())

    assert unevenness(image.array) > 0.15
    assert unevenness(sitk.GetArrayFromImage(corrected)) < 0.05


def test_the_peak_of_the_white_matter_makes_no_difference():
    """What the network's authors do: the last peak of the density to 110, then the percentile."""
    image, _ = heads.drawn(heads.grid((4, 4, 4)), heads.pose(), noise=20, skull=False)
    values = np.where(image.array > 0, image.array, 0)
    inside = values[values > 0]
    steps = np.linspace(0, np.percentile(inside, 96), 80)
    density = gaussian_kde(inside[::50], 0.1)(steps)
    peaks = np.flatnonzero((density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])) + 1
    scaled = values * (110 / steps[peaks[-1]])
    expected = np.clip(scaled / np.percentile(scaled[scaled > 0], 99.9), 0, 1)
    assert 900 < steps[peaks[-1]] < 1100
    ours = sitk.GetArrayFromImage(normalise(to_itk(image.with_array(values))))
    assert np.allclose(ours, expected, atol=1e-6)


def test_negative_values_are_lifted():
    array = np.array([[[-3.0, 1, 5, 9]]], np.float32)
    mask = np.array([[[True, True, True, False]]])
    assert brain_values(array, mask, "it").tolist() == [[[0, 4, 8, 0]]]


SMALL = heads.grid((6, 6, 6))


@pytest.fixture(scope="module")
def whole_head() -> tuple[Image, Image]:
    return heads.drawn(SMALL, heads.pose(), noise=5)


def test_whole_heads_and_other_images_need_a_mask(whole_head, tmp_path, report):
    head, _ = whole_head
    clean, _ = heads.drawn(SMALL, heads.pose())  # zeros around the scalp
    noise = np.random.default_rng(1).normal(0, 1, SMALL.array.shape).astype(np.float32)
    for array in (head.array, clean.array, noise, np.zeros_like(noise), np.full_like(noise, 7)):
        with pytest.raises(InputError) as caught:
            prepare(SMALL.with_array(array), tmp_path, report, BrainOptions())
        assert caught.value.code == "input.not_skull_stripped"
    assert "brain_mask" in caught.value.remedy and "skull_strip" in caught.value.remedy


def test_masks_must_be_a_brains(whole_head, tmp_path, report):
    head, labels = whole_head
    shifted, other = labels.ijk_to_ras.copy(), heads.grid((5, 6, 6))
    shifted[0, 3] += 6
    masks = {
        "input.no_brain": [
            labels.with_array(np.zeros_like(labels.array)),
            labels.with_array(np.ones_like(labels.array)),
            labels.with_array((labels.array == 4).astype(np.uint8)),
        ],
        "input.bad_mask": [
            Image(labels.array, shifted),
            Image(labels.array[:, :, ::-1], labels.ijk_to_ras * [-1, 1, 1, 1]),
            heads.drawn(other, heads.pose())[1],
        ],
    }
    for code, wrong in masks.items():
        for mask in wrong:
            with pytest.raises(InputError) as caught:
                prepare(head, tmp_path, report, BrainOptions(write_mask(tmp_path, mask)))
            assert caught.value.code == code
            assert str(tmp_path) not in str(caught.value)


def test_headers_may_be_rounded(whole_head, tmp_path, report):
    head, labels = whole_head
    rounded = labels.ijk_to_ras.copy()
    rounded[:3] += 1e-4
    mask = write_mask(tmp_path, Image(labels.array, rounded))
    assert np.array_equal(brain_mask(head, mask, "", tmp_path, report), labels.array > 0)


def test_a_mask_of_the_whole_image_does_for_a_region(whole_head, tmp_path, report):
    head, labels = whole_head
    box = tuple(slice(4, size - 5) for size in head.array.shape)
    part, mask = crop(head, box), write_mask(tmp_path, labels)
    assert np.array_equal(brain_mask(part, mask, "", tmp_path, report), labels.array[box] > 0)


@pytest.mark.parametrize("with_template", [False, True])
def test_a_single_slice_is_no_brain(with_template, whole_head, tmp_path, report):
    head, labels = whole_head
    middle = (slice(head.array.shape[0] // 2, head.array.shape[0] // 2 + 1), ...)
    thick = head.ijk_to_ras @ np.diag([1, 1, 5, 1])
    slice_, mask = (Image(one.array[middle], thick) for one in (head, labels))
    template = tmp_path / "template.nii"
    write_nifti(head.with_array(np.where(labels.array > 0, head.array, 0)), template)
    options = BrainOptions(write_mask(tmp_path, mask), "", str(template) if with_template else "")
    with pytest.raises(InputError) as caught:
        prepare(slice_, tmp_path, report, options)
    assert caught.value.code == "input.no_brain"
    assert "30 mm thick" in caught.value.message


def test_values_must_be_a_brains(whole_head, tmp_path, report):
    head, labels = whole_head
    mask = write_mask(tmp_path, labels)
    holes, flat = head.array.copy(), head.array.copy()
    holes[labels.array == 4] = np.nan
    flat[labels.array > 0] = 3
    for array in (holes, flat):
        with pytest.raises(InputError) as caught:
            prepare(head.with_array(array), tmp_path, report, BrainOptions(mask))
        assert caught.value.code == "input.no_values"


def test_missing_files_are_told(whole_head, tmp_path, report):
    head, labels = whole_head
    missing = str(tmp_path / "none.nii")
    for options in (BrainOptions(missing), BrainOptions(write_mask(tmp_path, labels), "", missing)):
        with pytest.raises(InputError) as caught:
            prepare(head, tmp_path, report, options)
        assert caught.value.code == "input.not_found"
        assert str(tmp_path) not in str(caught.value)


def test_templates_must_be_brains(whole_head, tmp_path, report):
    head, labels = whole_head
    path = tmp_path / "other.nii"
    flat = labels.with_array((labels.array > 0).astype(np.float32))
    for wrong, code in ((head, "input.bad_template"), (flat, "input.no_values")):
        write_nifti(wrong, path)
        with pytest.raises(InputError) as caught:
            options = BrainOptions(write_mask(tmp_path, labels), "", str(path))
            prepare(head, tmp_path, report, options)
        assert caught.value.code == code
        assert "other.nii" in caught.value.message


@pytest.fixture
def brain() -> tuple[Image, Image]:
    return heads.drawn(SMALL, heads.pose(), skull=False)


def refused(template: Image, other: Image, report: Reporter) -> str:
    """Why a brain is not aligned to a template."""
    with pytest.raises(InputError) as caught:
        one, two = normalise(to_itk(template)), normalise(to_itk(other))
        alignment.align(one, two, "template.nii", report)
    assert caught.value.code == "input.not_aligned"
    assert "template.nii" in caught.value.message
    return caught.value.message


def test_brains_that_do_not_match_are_refused(brain, report, monkeypatch):
    monkeypatch.setattr(alignment, "_LEVELS_MM", ((8.0, 8.0),))
    image, labels = brain
    inverted = np.where(labels.array > 0, 1200 - image.array, 0).astype(np.float32)
    assert "correlation" in refused(image, image.with_array(inverted), report)
    assert "32 mm" in refused(image, Image(image.array[15:20], image.ijk_to_ras), report)


@pytest.mark.slow
def test_brains_that_match_wrongly_are_refused(brain, report, coarse):
    image, _ = brain
    k, _, i = np.indices(image.array.shape)
    apart, half = (np.where(where, image.array, 0) for where in (np.abs(k - 16.5) > 6, i > 16))
    assert "overlap" in refused(image, image.with_array(apart), report)
    assert "stretched" in refused(image, image.with_array(half), report)
    for axes in ((0, 1), (0, 2), (1, 2)):
        turned = image.with_array(np.flip(image.array, axes))
        assert "way up" in refused(image, turned, report)


def test_a_cancelled_run_ends(whole_head, tmp_path):
    context = JobContext(lambda event: None)
    context.cancelled.set()
    mask = write_mask(tmp_path, whole_head[1])
    with pytest.raises(CancelledError):
        prepare(whole_head[0], tmp_path, Reporter(SPEC, context), BrainOptions(mask))


def test_labels_of_another_grid_are_a_mistake(whole_head):
    head, labels = whole_head
    prepared = PreparedBrain(head, head, head.ijk_to_ras)
    with pytest.raises(ValueError, match="grid"):
        labels_on_original(replace(labels, array=labels.array[1:]), prepared)
