"""Whatever bytes the files of a series hold, it is read right or refused with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from SampleData.dicom_series import multiframe, save, slices_of, truth
from SampleData.dicom_variants import compressed

from TotalSegmentatorLib.dicom.reading import read_volume
from TotalSegmentatorLib.dicom.series import find_series
from TotalSegmentatorLib.errors import SegmentationError

Edit = tuple[str, int, int]

COUNT, SIZE = 5, (32, 34)
FEW = settings(deadline=None, max_examples=25)
# Places from the end count too, so that pixels are hit; what is inserted shifts all that follows.
EDITS = st.lists(
    st.tuples(
        st.sampled_from(("change", "insert", "remove")),
        st.integers(-200, 2200),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)
ENCODINGS = {
    "explicit": lambda ds: None,
    "implicit": lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", ImplicitVRLittleEndian),
    "JPEG 2000": compressed(JPEG2000Lossless),
    "RLE": compressed(RLELossless),
}


def slices() -> list[Dataset]:
    rng = np.random.default_rng(0)
    return slices_of(rng.integers(-1000, 1000, (COUNT, *SIZE)))


TRUE = truth(slices())[0]


@dataclass(frozen=True)
class Victim:
    """One file of a good series, which gets other bytes again and again."""

    path: Path
    content: bytes


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(encode, id=name, marks=() if name == "explicit" else pytest.mark.slow)
        for name, encode in ENCODINGS.items()
    ],
)
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    made = slices()
    for ds in made:
        request.param(ds)
    path = save(made, tmp_path_factory.mktemp("series"))[2]
    return Victim(path, path.read_bytes())


@pytest.fixture(scope="module")
def many_frames(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    (path,) = save([multiframe(slices())], tmp_path_factory.mktemp("frames"))
    return Victim(path, path.read_bytes())


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beside")
    save(slices(), folder)
    return folder / "9999"


def changed(content: bytes, edits: list[Edit]) -> bytes:
    result = bytearray(content)
    for kind, position, value in edits:
        at = position % len(result) if result else 0
        if kind == "insert" or not result:
            result.insert(at, value)
        elif kind == "remove":
            del result[at]
        else:
            result[at] = value
    return bytes(result)


def check(folder: Path, victim: Path) -> None:
    """No other exception; and what lies in the untouched files is where and as it was."""
    try:
        found = find_series(folder)
    except SegmentationError as error:
        assert error.message
        return
    for series in found.series:
        for refusal in series.refusals:
            assert refusal.message and refusal.remedy
        for volume in series.volumes:
            check_volume(volume, victim)


def check_volume(volume, victim: Path) -> None:
    try:
        image, _ = read_volume(volume)
    except SegmentationError as error:
        assert error.message
        return
    assert np.isfinite(image.array).all()
    assert np.isfinite(image.ijk_to_ras).all()
    assert image.array.shape == volume.shape
    for place, one in zip(volume.places, volume.slices, strict=True):
        if one.path != victim and abs(place - round(place)) < 1e-6:
            index = int(one.path.stem) - 1
            assert np.array_equal(image.array[round(place)], TRUE[index])


@FEW
@given(edits=EDITS)
def test_changed_bytes(victim: Victim, edits: list[Edit]) -> None:
    victim.path.write_bytes(changed(victim.content, edits))
    check(victim.path.parent, victim.path)


@settings(FEW, max_examples=15)
@given(length=st.integers(0, 2000))
def test_truncated_at_any_place(victim: Victim, length: int) -> None:
    victim.path.write_bytes(victim.content[:length])
    check(victim.path.parent, victim.path)


@FEW
@given(edits=EDITS)
def test_changed_multiframe(many_frames: Victim, edits: list[Edit]) -> None:
    many_frames.path.write_bytes(changed(many_frames.content, edits))
    check(many_frames.path.parent, many_frames.path)


@FEW
@given(content=st.binary(max_size=400), preamble=st.booleans())
def test_any_bytes_beside(beside: Path, content: bytes, preamble: bool) -> None:
    beside.write_bytes((bytes(128) + b"DICM" if preamble else b"") + content)
    check(beside.parent, beside)
    assert any(series.volumes for series in find_series(beside.parent).series)
