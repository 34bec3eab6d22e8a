"""Stored values come out right, by pydicom and by SimpleITK; what is missing is noticed."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from SampleData.dicom_series import multiframe, pixels_of, save, set_pixels, slices_of

from TotalSegmentatorLib.dicom import pixels as pixels_module
from TotalSegmentatorLib.dicom.headers import read_headers
from TotalSegmentatorLib.dicom.pixels import Pixels, can_decode, read_pixels
from TotalSegmentatorLib.errors import InputError

VALUES = np.random.default_rng(0).integers(-1024, 2048, (4, 40, 36))
SYNTAXES = [RLELossless, JPEGLSLossless, JPEG2000Lossless]


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    return folder


@pytest.fixture
def read(tmp_path: Path, private: Path) -> Callable[[Dataset], Pixels]:
    """Write a dataset and read its pixels."""

    def read(ds: Dataset) -> Pixels:
        (path,) = save([ds], tmp_path)
        _, headers = read_headers(path)
        assert headers[0].refusal is None
        return read_pixels(headers[0].image, private)

    return read


def compressed(ds: Dataset, syntax: str) -> Dataset:
    plugin = {"encoding_plugin": "pydicom"} if syntax == RLELossless else {}
    ds.compress(syntax, generate_instance_uid=False, **plugin)
    return ds


def signed(ds: Dataset) -> Dataset:
    values = pixels_of(ds).astype(int) - 1024
    ds.PixelRepresentation = 1
    set_pixels(ds, values)
    return ds


# ---- decoders -------------------------------------------------------------------------------


def test_what_can_be_decoded() -> None:
    assert all(map(can_decode, ["", "1.2.840.10008.1.2", *SYNTAXES, "1.2.840.10008.1.2.4.70"]))
    assert not any(map(can_decode, ["1.2.840.10008.1.2.4.100", "1.2.3"]))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("edit", [lambda ds: ds, signed], ids=["unsigned", "signed"])
def test_simpleitk_decodes_as_pydicom(syntax, edit, read, private, monkeypatch) -> None:
    """What is compressed is JPEG to SimpleITK where pydicom has no decoder, as in Slicer 5.10."""
    ds = edit(slices_of(VALUES)[3])
    true = pixels_of(ds)
    ds = compressed(ds, syntax)
    by_pydicom = read(ds).values
    monkeypatch.setattr(pixels_module, "_has_decoder", lambda syntax: False)
    by_itk = read(ds).values
    assert by_pydicom.dtype == by_itk.dtype
    assert np.array_equal(by_pydicom[0], true)
    assert np.array_equal(by_itk[0], true)
    content = (private / "pixels.dcm").read_bytes()
    assert b"Phantom" not in content and str(ds.SOPInstanceUID).encode() not in content


def test_simpleitk_decodes_many_frames(read, monkeypatch) -> None:
    slices = slices_of(VALUES)
    ds = multiframe(slices)
    monkeypatch.setattr(pixels_module, "_has_decoder", lambda syntax: False)
    values = read(compressed(ds, JPEG2000Lossless)).values
    assert np.array_equal(values, [pixels_of(one) for one in slices])


@pytest.mark.parametrize(
    ("syntax", "is_by_itk"),
    [
        (RLELossless, False),
        (JPEG2000Lossless, False),
        (JPEG2000Lossless, True),
        (JPEGLSLossless, True),
    ],
)
def test_half_a_frame_is_damaged(syntax, is_by_itk: bool, read, monkeypatch) -> None:
    if is_by_itk:
        monkeypatch.setattr(pixels_module, "_has_decoder", lambda syntax: False)
    ds = compressed(slices_of(VALUES)[3], syntax)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    ds.PixelData = encapsulate([frame[: len(frame) // 2]])
    with pytest.raises(InputError) as caught:
        read(ds)
    assert caught.value.code == "input.damaged"


# ---- stored values --------------------------------------------------------------------------


def test_overlays_in_the_bits_above_are_cut_off(read) -> None:
    for ds in (slices_of(VALUES)[3], signed(slices_of(VALUES)[3])):
        true = pixels_of(ds)
        set_pixels(ds, np.where(true % 2, true ^ 0x4000, true))
        assert np.array_equal(read(ds).values[0], true)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (1, 0)),
        ({"PixelPaddingValue": 5}, (5, 5)),
        ({"PixelPaddingValue": 5, "PixelPaddingRangeLimit": 2}, (2, 5)),
        ({"PixelPaddingRangeLimit": 2}, (1, 0)),
    ],
)
@pytest.mark.parametrize("implicit", [False, True])
def test_padding(attributes, expected, implicit: bool, read) -> None:
    ds = slices_of(VALUES)[0]
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
        ds[keyword].VR = "US"
    if implicit:
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    assert read(ds).padding == expected


def test_padding_below_zero_that_is_written_without_sign(read) -> None:
    ds = signed(slices_of(VALUES)[0])
    ds.BitsStored, ds.HighBit = 16, 15
    ds.PixelPaddingValue = 63536
    ds["PixelPaddingValue"].VR = "US"
    assert read(ds).padding == (-2000, -2000)


def test_padding_may_need_the_bits_above(read) -> None:
    ds = slices_of(VALUES)[3]
    values = pixels_of(ds).copy()
    values[:5] = 63536
    set_pixels(ds, values)
    ds.PixelPaddingValue = 63536
    ds["PixelPaddingValue"].VR = "US"
    assert np.array_equal(read(ds).values[0], values)


def test_more_frames_than_the_header_says(read, tmp_path: Path, private: Path) -> None:
    """The file was changed after its header was read."""
    (path,) = save([multiframe(slices_of(VALUES))], tmp_path)
    one = read_headers(path)[1][0].image
    save([multiframe(slices_of(VALUES)[:3])], tmp_path)
    with pytest.raises(InputError) as caught:
        read_pixels(one, private)
    assert caught.value.code == "input.damaged"


def test_a_file_that_is_gone(tmp_path: Path, private: Path) -> None:
    (path,) = save(slices_of(VALUES)[:1], tmp_path)
    one = read_headers(path)[1][0].image
    path.unlink()
    with pytest.raises(InputError) as caught:
        read_pixels(one, private)
    assert caught.value.code == "input.not_found"


# ---- completeness ---------------------------------------------------------------------------


def refusal(path: Path) -> str:
    """The code with which a file is refused by its header."""
    _, (header,) = read_headers(path)
    return header.refusal.code if header.refusal else ""


@pytest.mark.parametrize("syntax", [None, *SYNTAXES])
def test_missing_bytes(syntax: str | None, tmp_path: Path) -> None:
    ds = slices_of(VALUES)[3]
    (path,) = save([compressed(ds, syntax) if syntax else ds], tmp_path)
    assert refusal(path) == ""
    whole = path.read_bytes()
    for count in (1, 8, 9, 100):
        path.write_bytes(whole[:-count])
        assert refusal(path) == "input.damaged", count
    path.write_bytes(whole + bytes(10))
    assert refusal(path) == ""


def test_fewer_fragments_than_frames(tmp_path: Path) -> None:
    ds = compressed(multiframe(slices_of(VALUES)), RLELossless)
    frames = list(generate_frames(ds.PixelData, number_of_frames=4))
    ds.PixelData = encapsulate(frames[:-1])
    (path,) = save([ds], tmp_path)
    assert {header.refusal.code for header in read_headers(path)[1]} == {"input.damaged"}


def test_a_length_that_is_too_small(tmp_path: Path) -> None:
    """Fewer bytes than the image has pixels, though all that are announced are there."""
    (path,) = save(slices_of(VALUES)[:1], tmp_path)
    content = path.read_bytes()
    at = content.index(b"\xe0\x7f\x10\0OW\0\0") + 8
    (length,) = struct.unpack_from("<L", content, at)
    path.write_bytes(content[:at] + struct.pack("<L", length - 2) + content[at + 4 : -2])
    assert refusal(path) == "input.damaged"


def test_pixels_of_a_header_only(tmp_path: Path) -> None:
    ds = slices_of(VALUES)[0]
    del ds.PixelData
    (path,) = save([ds], tmp_path)
    assert refusal(path) == "input.damaged"


def test_implicit_without_a_meta_header(tmp_path: Path, private: Path) -> None:
    ds = slices_of(VALUES)[3]
    true = pixels_of(ds)
    (path,) = save([ds], tmp_path)
    bare = pydicom.dcmread(path)
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.preamble = None
    bare.save_as(path, implicit_vr=True, little_endian=True)
    _, (header,) = read_headers(path)
    assert np.array_equal(read_pixels(header.image, private).values[0], true)
    shutil.copy(path, tmp_path / "cut.dcm")
    (tmp_path / "cut.dcm").write_bytes(path.read_bytes()[:-1])
    assert refusal(tmp_path / "cut.dcm") == "input.damaged"
