"""Which images make which volumes, and where every slice lies on their grids."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from SampleData.dicom_series import random_orientations

from TotalSegmentatorLib.dicom.headers import APART_TITLES, ImageHeader, bad_series
from TotalSegmentatorLib.dicom.stacks import make_volumes
from TotalSegmentatorLib.dicom.volumes import DicomVolume, SeriesInfo, Slice
from TotalSegmentatorLib.errors import SegmentationError

INFO = SeriesInfo("1.2.3", "1.2", "1.2.9", "CT", 3)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ACQUISITION, TIME_POINT, TRIGGER, ECHO_TIME = range(4)
IMAGE_TYPE = 6


def stack(
    places: object = range(8),
    orientation: tuple[float, ...] = AXIAL,
    apart: dict[int, object] | None = None,
    first_instance: int = 1,
    lean: float = 0.0,
    **geometry: object,
) -> list[ImageHeader]:
    """Images at these heights along z, or at these (x, y, z)."""
    texts = [""] * len(APART_TITLES)
    for key, value in (apart or {}).items():
        texts[key] = str(value)
    headers = []
    for number, place in enumerate(places):
        position = (0.0, lean * place, float(place)) if np.isscalar(place) else tuple(place)
        image = Slice(
            Path(f"{number}.dcm"), 0, 1, "1.1", f"1.{number}", 200, 300, position, orientation,
            (0.5, 0.25), 1.0, -1024.0,
        )  # fmt: skip
        image = replace(image, **geometry)
        headers.append(
            ImageHeader(
                image, False, None, modality="CT", number=3, apart=tuple(texts),
                instance=first_instance + number,
            )
        )  # fmt: skip
    return headers


def one(headers: list[ImageHeader]) -> DicomVolume:
    """The volume, where all images make one."""
    (volume,), refusals = make_volumes(INFO, headers)
    assert not refusals
    assert volume.title == ""
    return volume


def refused(headers: list[ImageHeader]) -> SegmentationError:
    volumes, (refusal,) = make_volumes(INFO, headers)
    assert not volumes
    return refusal


def codes(volume: DicomVolume) -> list[str]:
    return [notice.code for notice in volume.notices]


def check_places(volume: DicomVolume, tolerance_mm: float = 1e-6) -> None:
    """The grid has every slice where its header says."""
    for place, image in zip(volume.places, volume.slices, strict=True):
        x, y, z = image.position
        assert np.allclose(
            (volume.ijk_to_ras @ [0, 0, place, 1])[:3], (-x, -y, z), atol=tolerance_mm
        )


# ---- grids ----------------------------------------------------------------------------------


def test_a_regular_stack() -> None:
    volume = one(stack([3, 0, 2, 1]))
    assert volume.places == (0, 1, 2, 3)
    assert [image.position[2] for image in volume.slices] == [0, 1, 2, 3]
    assert volume.shape == (4, 200, 300)
    assert np.allclose(volume.ijk_to_ras, np.diag([-0.25, -0.5, 1, 1]))
    assert codes(volume) == []


def test_slices_lie_where_headers_say_however_the_patient_lies() -> None:
    for orientation in random_orientations(12):
        grid = orientation.grid
        slices, rows, columns = orientation.shape
        places = [tuple(grid.position(k)) for k in reversed(range(slices))]
        cosines = (*grid.row, *grid.column)
        volume = one(
            stack(places, cosines, rows=rows, columns=columns, pixel_spacing=grid.spacing[:2])
        )
        check_places(volume)
        assert np.allclose(volume.ijk_to_ras, grid.ijk_to_ras)
        assert ("input.straightened" in codes(volume)) == bool(grid.lean_mm)


@pytest.mark.parametrize(
    ("places", "expected", "word"),
    [
        ((0, 1, 3, 4, 5), (0, 1, 3, 4, 5), "lacks 1 slice inside"),
        ((0, 2, 3, 4, 6, 7), (0, 2, 3, 4, 6, 7), "lacks 2 slices"),
        ((0, 3, 6.02, 12, 15), (0, 1, 2, 4, 5), "lacks 1 slice inside"),
        ((0.0, 0.6, 1.2, 2.5, 3.1, 3.8, 4.4), (0, 1, 2, 4, 5, 6, 7), "lacks 1 slice inside"),
        ((0, 2, 4, 7, 10), (0, 1, 2, 3.5, 5), "uneven distances, 2 to 3 mm"),
        ((0, 4, 12, 20), (0, 1, 3, 5), "uneven distances, 4 to 8 mm"),
    ],
)
def test_gaps_of_one_slice(places, expected, word: str) -> None:
    volume = one(stack(places))
    assert np.allclose(volume.places, expected)
    assert volume.shape[0] == round(expected[-1]) + 1
    assert codes(volume)[0] == "input.resampled"
    assert word in volume.notices[0].message


def test_a_missing_slice_of_a_tilted_gantry() -> None:
    volume = one(stack([0, 1, 3, 4, 5], lean=0.3))
    assert codes(volume) == ["input.resampled", "input.straightened"]
    check_places(volume)


@pytest.mark.parametrize(
    ("places", "word"),
    [
        ((0, 1, 4, 5, 6), "lacks 2 slices"),
        ((0, 1, 2, 4.5, 5.5), "uneven distances, 1 to 2.5 mm"),
    ],
)
def test_larger_gaps_are_refused(places, word: str) -> None:
    refusal = refused(stack(places))
    assert refusal.code == "input.series_geometry"
    assert word in refusal.message


@pytest.mark.parametrize(
    ("distance", "digits"),
    [(0.625, 1), (0.625, 2), (0.75, 1), (1.25, 1), (0.3125, 3)],
)
def test_rounded_positions_are_a_regular_grid(distance: float, digits: int) -> None:
    places = np.round(np.arange(60) * distance - 100.3125, digits)
    volume = one(stack(places))
    assert volume.places == tuple(range(60))
    assert codes(volume) == []


def test_rounded_positions_of_an_oblique_stack() -> None:
    for number, orientation in enumerate(random_orientations(30)):
        row, column = orientation.grid.row, orientation.grid.column
        normal = np.cross(row, column) * (0.6 + 0.1 * number)
        places = [np.round(k * normal, 2) for k in range(40)]
        cosines = tuple(np.round([*row, *column], 4 + number % 3).tolist())
        assert one(stack(places, cosines)).notices == ()


def test_distances_that_drift_are_no_regular_grid() -> None:
    """Each differs by less than one in a hundred, but their sum by more than a slice."""
    gaps = [1.0] * 60 + [1.009] * 60
    places = np.concatenate([[0.0], np.cumsum(gaps)])
    volume = one(stack(places))
    assert codes(volume) == ["input.resampled"]
    check_places(volume)
    assert one(stack(np.concatenate([[0.0], np.cumsum(gaps[58:64])]))).notices == ()


@given(
    st.lists(st.floats(1.0, 2.0), min_size=2, max_size=30).map(lambda gaps: np.cumsum([0, *gaps]))
)
def test_uneven_slices_keep_their_places(places: np.ndarray) -> None:
    """With distances that differ by up to the double, none lies further than that apart."""
    volume = one(stack(places))
    check_places(volume, 0.25)  # one that is regular within tolerances is taken for regular
    assert volume.shape[0] <= 4 * len(places)
    assert volume.places[0] == 0 and volume.places[-1] == pytest.approx(volume.shape[0] - 1)


def test_a_tiny_distance_does_not_make_an_endless_grid() -> None:
    volume = one(stack([0, 0.02, 1, 2, 3]))
    assert volume.shape[0] == 20
    check_places(volume)


def test_slices_shifted_aside_are_refused() -> None:
    places = [(0, 0, z) for z in range(6)]
    places[2] = (5, 0, 2)
    assert "shifted" in refused(stack(places)).message


def test_what_the_network_cannot_use_is_refused_here() -> None:
    assert refused(stack(np.arange(4) * 60)).code == "input.bad_geometry"
    assert refused(stack([0, 1])).code == "input.too_small"
    assert codes(one(stack(np.arange(4) * 8))) == ["input.coarse"]


# ---- images at the same place ---------------------------------------------------------------


@pytest.mark.parametrize("key", range(len(APART_TITLES)))
def test_phases_are_told_apart(key: int) -> None:
    late = stack(apart={key: "10"})
    early = stack(apart={key: "9"})
    volumes, refusals = make_volumes(INFO, [*late, *early])
    assert refusals == ()
    assert [volume.slices for volume in volumes] == [
        tuple(header.image for header in phase) for phase in (early, late)
    ]
    assert [volume.number for volume in volumes] == [1, 2]
    first, second = (volume.title for volume in volumes)
    assert first != second
    assert first == APART_TITLES[key].format(value="9", number=1)


def test_echoes_of_phases() -> None:
    headers = [
        header
        for time in (1, 2)
        for echo in (4.6, 9.2)
        for header in stack(apart={TIME_POINT: time, ECHO_TIME: echo})
    ]
    volumes, _ = make_volumes(INFO, headers)
    assert [volume.title for volume in volumes] == [
        "time point 1, echo time 4.6 ms",
        "time point 1, echo time 9.2 ms",
        "time point 2, echo time 4.6 ms",
        "time point 2, echo time 9.2 ms",
    ]


def test_a_value_of_every_slice_splits_nothing() -> None:
    """Each slice has a trigger time of its own; the acquisition tells the phases."""
    headers = []
    for phase in (1, 2):
        for number, header in enumerate(stack(apart={ACQUISITION: phase})):
            apart = list(header.apart)
            apart[TRIGGER] = str(number)
            headers.append(replace(header, apart=tuple(apart)))
    volumes, _ = make_volumes(INFO, headers)
    assert [volume.title for volume in volumes] == ["acquisition 1", "acquisition 2"]


def test_phases_in_the_order_of_numbers() -> None:
    first, second = stack(), stack(first_instance=9)
    volumes, _ = make_volumes(INFO, [*second, *first])
    assert [volume.title for volume in volumes] == ["part 1", "part 2"]
    assert volumes[0].slices == tuple(header.image for header in first)


def interleaved(offset: float, modality: str = "CT", distance: float = 5.0):
    """Two acquisitions, the second further on by so many mm."""
    headers = []
    for number in range(2):
        places = np.arange(8) * distance + number * offset
        headers += stack(places, apart={ACQUISITION: number}, first_instance=1 + 8 * number)
    return [replace(header, modality=modality) for header in headers]


@pytest.mark.parametrize("offset", [0.005, 0.02, 0.3, 2.0, 2.5])
def test_phases_between_each_other_are_told_apart(offset: float) -> None:
    volumes, refusals = make_volumes(INFO, interleaved(offset))
    assert refusals == ()
    assert [volume.title for volume in volumes] == ["acquisition 0", "acquisition 1"]
    assert all(volume.notices == () for volume in volumes)


def test_slices_of_mr_are_measured_in_any_order() -> None:
    """Every other one first, then those between them: one volume of even distances."""
    assert len(one(interleaved(2.5, "MR")).slices) == 16


def test_what_was_measured_one_above_the_other_is_one_volume() -> None:
    """As the turns of a scanner whose table stands still; also where their distances differ."""
    lower = stack([0, 2, 4, 6], apart={ACQUISITION: 1})
    upper = stack([9, 12, 15, 18], apart={ACQUISITION: 2})
    assert codes(one([*lower, *upper])) == ["input.resampled"]
    assert codes(one([*lower, *stack([8, 10, 12], apart={ACQUISITION: 2})])) == []


def test_acquisitions_that_meet_in_a_slice() -> None:
    lower, upper = stack(range(5), apart={ACQUISITION: 1}), stack(range(4, 9))
    volumes, _ = make_volumes(INFO, [*lower, *upper])
    assert [len(volume.slices) for volume in volumes] == [5, 5]


def slice_by_slice(numbers: list[int]) -> list[ImageHeader]:
    """Three phases of four places, in the order of place and phase."""
    headers = stack(np.repeat(range(4), 3))
    return [replace(h, instance=number) for h, number in zip(headers, numbers, strict=True)]


def test_phases_in_the_order_of_places() -> None:
    headers = slice_by_slice(list(range(1, 13)))
    volumes, _ = make_volumes(INFO, headers[::-1])
    assert [volume.title for volume in volumes] == ["part 1", "part 2", "part 3"]
    for number, volume in enumerate(volumes):
        assert volume.slices == tuple(header.image for header in headers[number::3])


def test_phases_with_the_same_numbers_are_not_mixed() -> None:
    assert refused(slice_by_slice([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])).code == (
        "input.series_geometry"
    )


def test_images_of_one_place_are_too_few() -> None:
    refusal = refused(stack([5] * 10))
    assert refusal.code == "input.too_small"
    assert "has 1 slice;" in refusal.message
    scouts = [*stack([0]), *stack([(0, 0, 0)], (1.0, 0, 0, 0, 0, -1.0))]
    assert refused(scouts).code == "input.too_small"


def test_images_that_nothing_tells_apart_are_refused_at_once() -> None:
    rng = np.random.default_rng(0)
    headers = [
        replace(
            header,
            apart=tuple(map(str, rng.integers(0, 3, len(APART_TITLES)))),
            instance=0,
            image=replace(header.image, sop_instance=f"1.{number}"),
        )
        for number, header in enumerate(stack(np.repeat(range(10), 100)))
    ]
    before = time.monotonic()
    assert refused(headers).code == "input.series_geometry"
    assert time.monotonic() - before < 5


def test_titles_are_short_and_plain() -> None:
    values = "ORIGINAL\\PRIMARY", "DERIVED\\[/B]\33[31mJohn\n" + "X" * 80
    headers = [header for value in values for header in stack(apart={IMAGE_TYPE: value})]
    volumes, _ = make_volumes(INFO, headers)
    assert {volume.title for volume in volumes} == {
        "image type ORIGINAL/PRIMARY",
        "image type " + ("DERIVED//B31mJohn" + "X" * 80)[:40],
    }


def test_single_images_at_one_place_are_refused() -> None:
    """Also where numbers could split the stack in two."""
    doubled = stack(range(8))
    doubled.insert(4, replace(doubled[3], image=replace(doubled[3].image, sop_instance="9")))
    refusal = refused(doubled[:8])
    assert refusal.code == "input.series_geometry"
    assert "has 1 slice at a place" in refusal.message


def test_a_phase_that_lacks_a_slice() -> None:
    whole, holed = stack(apart={ACQUISITION: 1}), stack(apart={ACQUISITION: 2})
    del holed[3]
    volumes, _ = make_volumes(INFO, [*whole, *holed])
    assert [codes(volume) for volume in volumes] == [[], ["input.resampled"]]


# ---- images that differ ---------------------------------------------------------------------


def test_planes_are_volumes_of_their_own() -> None:
    coronal = stack([(0, y, 0) for y in range(5)], (1.0, 0, 0, 0, 0, -1.0))
    volumes, refusals = make_volumes(INFO, [*coronal, *stack()])
    assert refusals == ()
    assert [volume.title for volume in volumes] == ["axial 300 x 200", "coronal 300 x 200"]
    assert [len(volume.slices) for volume in volumes] == [8, 5]


def test_planes_that_lean_apart_have_titles_of_their_own() -> None:
    """As the discs of a spine."""
    leaning = (1.0, 0.0, 0.0, 0.0, 0.96, 0.28)
    volumes, _ = make_volumes(INFO, [*stack(), *stack(range(20, 25), leaning)])
    assert [volume.title for volume in volumes] == [
        "axial 300 x 200, stack 1",
        "axial 300 x 200, stack 2",
    ]


@pytest.mark.parametrize(
    "geometry",
    [
        {"rows": 201},
        {"pixel_spacing": (0.5, 0.26)},
        {"orientation": (1.0, 0.0, 0.0, 0.0, 0.0, 1.0)},
    ],
)
def test_single_images_that_differ_are_refused(geometry) -> None:
    volumes, refusals = make_volumes(INFO, [*stack(), *stack([20, 21], **geometry)])
    assert [volume.title for volume in volumes] == [""]
    assert [refusal.code for refusal in refusals] == ["input.series_geometry"]


def test_frames_of_reference_are_not_mixed() -> None:
    other = [replace(header, frame_of_reference_uid="1.2.8") for header in stack(range(8, 13))]
    volumes, _ = make_volumes(INFO, [*stack(), *other])
    assert [volume.series.frame_of_reference_uid for volume in volumes] == ["1.2.9", "1.2.8"]


def test_headers_that_differ_by_rounding_are_alike() -> None:
    rounded = stack([8], (1.0, 2e-4, 0, -2e-4, 1.0, 0), pixel_spacing=(0.5001, 0.25))
    assert len(one([*stack(), *rounded]).slices) == 9


def test_an_image_that_cannot_be_used_costs_its_volume_only() -> None:
    good = stack([(0, y, 0) for y in range(5)], (1.0, 0, 0, 0, 0, -1.0))
    bad = stack()
    bad[2] = replace(bad[2], refusal=bad_series("No place."))
    volumes, refusals = make_volumes(INFO, [*bad, *good])
    assert [len(volume.slices) for volume in volumes] == [5]
    assert [refusal.message for refusal in refusals] == ["No place."]


def test_what_is_said_of_values() -> None:
    headers = stack()
    headers[1] = replace(headers[1], image=replace(headers[1].image, slope=2.0), lossy=True)
    assert codes(one(headers)) == ["input.rescale", "input.lossy"]
