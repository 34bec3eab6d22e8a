"""NRRD and MetaImage give the same image as NIfTI; odd names are no trouble."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from SampleData.bad_inputs import SHAPE, meta_bytes, nrrd_bytes
from SampleData.grids import images
from SampleData.phantoms import torso_ct

from TotalSegmentatorLib.images import Image, file_suffix, read_image, same_grid, write_nifti
from TotalSegmentatorLib.images.geometry import itk_from_ijk_to_ras

VOXELS = torso_ct(SHAPE).array
ONE_FOLDER = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ONE_FOLDER
@given(
    image=images(),
    suffix=st.sampled_from((".nrrd", ".nhdr", ".mha", ".mhd")),
    compress=st.booleans(),
)
def test_what_itk_writes(image: Image, suffix: str, compress: bool, tmp_path: Path) -> None:
    itk_image = sitk.GetImageFromArray(image.array)
    origin, spacing, direction = itk_from_ijk_to_ras(image.ijk_to_ras)
    itk_image.SetOrigin(origin)
    itk_image.SetSpacing(spacing)
    itk_image.SetDirection(direction)
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(itk_image, str(path), useCompression=compress)
    back, notices = read_image(path)
    assert np.array_equal(back.array, image.array)
    assert same_grid(back, image, tolerance_mm=0.01)
    assert [n for n in notices if n.code != "input.coarse"] == []


@pytest.mark.parametrize(
    "content",
    [
        nrrd_bytes(),
        nrrd_bytes(gzip.compress(VOXELS.tobytes()), encoding="gzip"),
        meta_bytes(),
        meta_bytes(
            data=(packed := zlib.compress(VOXELS.tobytes())),
            CompressedData="True",
            CompressedDataSize=str(len(packed)),
        ),
        meta_bytes(
            NDims="4",
            DimSize="10 8 6 1",
            Offset="0 0 0 0",
            ElementSpacing="3 3 4 1",
            TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
        ),
    ],
    ids=["nrrd", "nrrd gzip", "mha", "mha zlib", "mha one frame"],
)
def test_handwritten_headers(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(content)  # judged by content, not by its name
    image, notices = read_image(tmp_path / "image")
    assert np.array_equal(image.array, VOXELS)
    assert image.spacing == (3, 3, 4)
    assert np.array_equal(np.sign(np.diag(image.ijk_to_ras)), [-1, -1, 1, 1])
    assert notices == ()


def test_nrrd_in_ras(tmp_path: Path) -> None:
    (tmp_path / "i.nrrd").write_bytes(nrrd_bytes(space="right-anterior-superior"))
    assert np.array_equal(read_image(tmp_path / "i.nrrd")[0].ijk_to_ras, np.diag([3, 3, 4, 1]))


@pytest.mark.parametrize(
    "name", ["Müller Größe 日本.nii.gz", "-o.nii", "a; $(touch x) 'b'.nii.gz", "n" * 240 + ".nii"]
)
def test_odd_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_nifti(torso_ct(), name)
    assert np.array_equal(read_image(name)[0].array, torso_ct().array)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_odd_names_with_itk(tmp_path: Path) -> None:
    path = tmp_path / "Müller 日本 $(x).nrrd"
    path.write_bytes(nrrd_bytes())
    assert np.array_equal(read_image(path)[0].array, VOXELS)


def test_suffixes() -> None:
    names = ("a.NII.GZ", "b.seg.nrrd", "c.v2.nrrd", "d.nii", "e")
    assert [file_suffix(Path(n)) for n in names] == [".nii.gz", ".seg.nrrd", ".nrrd", ".nii", ""]
