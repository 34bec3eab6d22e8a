"""NIfTI files, with nibabel and SimpleITK as independent judges."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from SampleData.bad_inputs import nifti_bytes
from SampleData.grids import images
from SampleData.phantoms import torso_ct, torso_labels

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import (
    Image,
    read_image,
    read_labelmap,
    read_nifti_label_names,
    same_grid,
    write_labelmap,
    write_nifti,
)
from TotalSegmentatorLib.images.geometry import ijk_to_ras_from_itk, largest_distance_mm

ONE_FOLDER = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FLOAT32_MM = 2e-3  # 1500 mm in float32, through a quaternion


@ONE_FOLDER
@given(image=images(), suffix=st.sampled_from((".nii", ".nii.gz")))
def test_what_is_written_is_read(image: Image, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    write_nifti(image, path)
    back, notices = read_image(path)
    assert np.array_equal(back.array, image.array)
    assert back.array.dtype == np.int16
    assert same_grid(back, image)
    assert [n for n in notices if n.code != "input.coarse"] == []


@ONE_FOLDER
@given(image=images())
def test_nibabel_reads_what_we_write(image: Image, tmp_path: Path) -> None:
    write_nifti(image, tmp_path / "image.nii.gz")
    judge = nibabel.load(tmp_path / "image.nii.gz")
    shape = image.array.shape
    assert np.array_equal(np.asanyarray(judge.dataobj).T, image.array)
    assert largest_distance_mm(judge.get_sform(), image.ijk_to_ras, shape) < FLOAT32_MM
    # Near half turns nibabel rounds the quaternion by up to 0.0006: twice that as an angle.
    extent_mm = np.linalg.norm(np.multiply(image.shape_ijk, image.spacing))
    tolerance_mm = FLOAT32_MM + 0.0012 * extent_mm
    assert largest_distance_mm(judge.get_qform(), image.ijk_to_ras, shape) < tolerance_mm
    assert judge.header["sform_code"] == judge.header["qform_code"] == 1
    assert judge.header.get_xyzt_units()[0] == "mm"


@ONE_FOLDER
@given(image=images())
def test_the_spacing_is_that_of_the_matrix_to_the_last_bit(image: Image, tmp_path: Path) -> None:
    """Rounding depends on which of them a reader takes."""
    write_nifti(image, tmp_path / "image.nii")
    header = nibabel.load(tmp_path / "image.nii").header
    computed = np.sqrt((header.get_sform()[:3, :3] ** 2).sum(axis=0)).astype(np.float32)
    assert np.array_equal(header["pixdim"][1:4], computed)


@ONE_FOLDER
@given(image=images())
def test_itk_reads_what_we_write(image: Image, tmp_path: Path) -> None:
    write_nifti(image, tmp_path / "image.nii.gz")
    judge = sitk.ReadImage(str(tmp_path / "image.nii.gz"))
    matrix = ijk_to_ras_from_itk(judge.GetOrigin(), judge.GetSpacing(), judge.GetDirection())
    assert np.array_equal(sitk.GetArrayFromImage(judge), image.array)
    assert largest_distance_mm(matrix, image.ijk_to_ras, image.array.shape) < FLOAT32_MM


@ONE_FOLDER
@given(
    image=images(),
    codes=st.sampled_from(((1, 1), (2, 0), (0, 1), (4, 3))),
    version=st.sampled_from((nibabel.Nifti1Image, nibabel.Nifti2Image)),
    byte_order=st.sampled_from("<>"),
)
def test_we_read_what_nibabel_writes(
    image: Image, codes: tuple[int, int], version: type, byte_order: str, tmp_path: Path
) -> None:
    header = version.header_class(endianness=byte_order)
    judge = version(image.array.T.astype(f"{byte_order}i2"), image.ijk_to_ras, header)
    judge.set_sform(image.ijk_to_ras, codes[0])
    judge.set_qform(image.ijk_to_ras, codes[1])
    nibabel.save(judge, tmp_path / "image.nii")
    back, _ = read_image(tmp_path / "image.nii")
    assert np.array_equal(back.array, image.array)
    affine = nibabel.load(tmp_path / "image.nii").affine
    assert largest_distance_mm(back.ijk_to_ras, affine, image.array.shape) < 1e-3
    if codes[0]:  # a qform's quaternion in float32 loses more near half turns
        drift = largest_distance_mm(back.ijk_to_ras, image.ijk_to_ras, image.array.shape)
        assert drift < FLOAT32_MM


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_voxel_type_is_read(kind: str, tmp_path: Path) -> None:
    values = (torso_ct().array % 120).astype(kind)
    nibabel.save(
        nibabel.Nifti1Image(values.T, np.diag([2, 2, 2, 1]), dtype=kind), tmp_path / "i.nii"
    )
    back, notices = read_image(tmp_path / "i.nii")
    assert np.array_equal(back.array, values)
    assert back.array.dtype == (np.float32 if kind[0] == "f" else np.int16)
    assert notices == ()


def test_integers_beyond_int16_become_exact_floats(tmp_path: Path) -> None:
    values = torso_ct().array.astype(np.int32) + 60000
    nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), tmp_path / "i.nii")
    back, _ = read_image(tmp_path / "i.nii")
    assert back.array.dtype == np.float32
    assert np.array_equal(back.array, values)


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, -1024.0), (0.5, 0.0), (-1.0, 3.0)])
def test_scaling_is_applied(slope: float, intercept: float, tmp_path: Path) -> None:
    path = tmp_path / "i.nii"
    path.write_bytes(nifti_bytes(("2f", 112, (slope, intercept))))
    back, _ = read_image(path)
    assert np.array_equal(back.array, nibabel.load(path).get_fdata().T)


def test_slope_0_means_no_scaling(tmp_path: Path) -> None:
    path = tmp_path / "i.nii"
    path.write_bytes(nifti_bytes(("2f", 112, (0.0, 5.0))))
    assert np.array_equal(read_image(path)[0].array, torso_ct((6, 8, 10)).array)


@pytest.mark.parametrize("frames", [(1,), (1, 1)])
def test_a_single_frame_is_a_volume(frames: tuple[int, ...], tmp_path: Path) -> None:
    values = torso_ct((6, 8, 10)).array.T.reshape(10, 8, 6, *frames)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "i.nii")
    assert np.array_equal(read_image(tmp_path / "i.nii")[0].array, values.reshape(10, 8, 6).T)


def test_names_do_not_tell_whether_a_file_is_compressed(tmp_path: Path) -> None:
    content = nifti_bytes()
    (tmp_path / "plain.nii.gz").write_bytes(content)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(content))
    (tmp_path / "two_members.nii.gz").write_bytes(
        gzip.compress(content[:999]) + gzip.compress(content[999:])
    )
    for path in tmp_path.iterdir():
        assert np.array_equal(read_image(path)[0].array, torso_ct((6, 8, 10)).array)


@pytest.mark.parametrize("units, scale", [(1, 1000.0), (3, 0.001), (2, 1.0), (0, 1.0)])
def test_lengths_in_other_units(units: int, scale: float, tmp_path: Path) -> None:
    millimetres = torso_ct((6, 8, 10))
    matrix = np.diag([1 / scale, 1 / scale, 1 / scale, 1]) @ millimetres.ijk_to_ras
    path = tmp_path / "i.nii"
    path.write_bytes(nifti_bytes(("B", 123, (units,)), image=Image(millimetres.array, matrix)))
    assert same_grid(read_image(path)[0], millimetres)


def test_without_orientation_it_lies_where_itk_and_slicer_put_it(tmp_path: Path) -> None:
    path = tmp_path / "i.nii"
    path.write_bytes(nifti_bytes(("2h", 252, (0, 0))))
    judge = sitk.ReadImage(str(path))
    matrix = ijk_to_ras_from_itk(judge.GetOrigin(), judge.GetSpacing(), judge.GetDirection())
    assert np.allclose(read_image(path)[0].ijk_to_ras, matrix)


def test_the_sform_is_preferred_as_by_nibabel(tmp_path: Path) -> None:
    path = tmp_path / "i.nii"
    path.write_bytes(nifti_bytes(("3f", 268, (100, 0, 0)), ("2h", 252, (1, 2))))
    image, notices = read_image(path)
    assert np.allclose(image.ijk_to_ras, nibabel.load(path).affine)
    assert "mm apart" in notices[0].message


def test_nonfinite_voxels_become_air_in_ct_and_zero_otherwise(tmp_path: Path) -> None:
    for lowest, expected in ((-1000.0, -1024), (5.0, 0)):
        array = np.full((4, 4, 4), lowest, np.float64)
        array[0, 0, 0], array[1, 1, 1], array[2, 2, 2] = np.nan, -np.inf, 1e300
        nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), tmp_path / "i.nii")
        image, notices = read_image(tmp_path / "i.nii")
        assert image.array[0, 0, 0] == image.array[1, 1, 1] == image.array[2, 2, 2] == expected
        assert image.array[3, 3, 3] == lowest
        assert notices[0].message.startswith("3 voxels")


@pytest.mark.parametrize("largest, kind", [(117, np.uint8), (255, np.uint8), (300, np.uint16)])
def test_labelmaps_keep_their_names(largest: int, kind: type, tmp_path: Path) -> None:
    labels, names = torso_labels()
    labels = labels.with_array(labels.array.astype(np.int64))
    labels.array[0, 0, 0] = largest
    names = names | {largest: 'Größe <&> ]]> "quoted"'}
    path = tmp_path / "labels.nii.gz"
    write_labelmap(labels, path, names)
    back = read_labelmap(path)
    assert back.array.dtype == kind
    assert np.array_equal(back.array, labels.array)
    assert read_nifti_label_names(path) == names
    judge = nibabel.load(path)
    assert np.array_equal(np.asanyarray(judge.dataobj).T, labels.array)
    assert len(judge.header.extensions) == 1
    assert b"CaretExtension" in judge.header.extensions[0].get_content()
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), labels.array)


def test_the_same_labelmap_gives_the_same_bytes(tmp_path: Path) -> None:
    labels, names = torso_labels()
    for name in ("a.nii.gz", "b.nii.gz"):
        write_labelmap(labels, tmp_path / name, names)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_comment_comes_after_the_names(tmp_path: Path) -> None:
    labels, names = torso_labels()
    write_labelmap(labels, tmp_path / "labels.nii.gz", names, comment='{"task": "tötal"}')
    extensions = nibabel.load(tmp_path / "labels.nii.gz").header.extensions
    assert [extension.get_code() for extension in extensions] == [0, 6]
    assert extensions[1].get_content().decode().rstrip("\0 ") == '{"task": "tötal"}'
    assert read_nifti_label_names(tmp_path / "labels.nii.gz") == names


def test_an_image_has_no_label_names(tmp_path: Path) -> None:
    write_nifti(torso_ct(), tmp_path / "ct.nii.gz")
    assert read_nifti_label_names(tmp_path / "ct.nii.gz") == {}


def test_the_official_package_reads_our_names_by_this_recipe(tmp_path: Path) -> None:
    """Its reader: the first extension, parsed as XML, CaretExtension > VolumeInformation >
    LabelTable > Label with the attribute Key and the name as text."""
    import xml.etree.ElementTree as ElementTree

    labels, names = torso_labels()
    write_labelmap(labels, tmp_path / "labels.nii.gz", names)
    content = nibabel.load(tmp_path / "labels.nii.gz").header.extensions[0].get_content()
    root = ElementTree.fromstring(content)
    assert root.tag == "CaretExtension"
    found = root.findall("VolumeInformation/LabelTable/Label")
    assert {int(label.attrib["Key"]): label.text for label in found} == names


def test_names_that_the_official_package_wrote_are_read(tmp_path: Path) -> None:
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension> <VolumeInformation Index="0">'
        '<LabelTable><Label Key="1" Red="1.0" Alpha="1"><![CDATA[spleen]]></Label>\n'
        '<Label Key="5"><![CDATA[liver]]></Label></LabelTable></VolumeInformation>'
        "</CaretExtension>\n              "
    )
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml.encode()))
    nibabel.save(image, tmp_path / "labels.nii.gz")
    assert read_nifti_label_names(tmp_path / "labels.nii.gz") == {1: "spleen", 5: "liver"}


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><CaretExtension><Label Key="1">&x;</Label></CaretExtension>',
        "<CaretExtension><Label",
        "<CaretExtension><Label>no key</Label></CaretExtension>",
    ],
)
def test_a_bad_label_table_is_refused(xml: str, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml.encode()))
    nibabel.save(image, tmp_path / "labels.nii.gz")
    with pytest.raises(InputError) as caught:
        read_nifti_label_names(tmp_path / "labels.nii.gz")
    assert caught.value.code == "input.damaged"


def test_labelmaps_refuse_what_is_no_label(tmp_path: Path) -> None:
    write_nifti(torso_ct(), tmp_path / "ct.nii")
    with pytest.raises(InputError) as caught:
        read_labelmap(tmp_path / "ct.nii")
    assert caught.value.code == "input.not_a_labelmap"
    with pytest.raises(ValueError, match="not labels"):
        write_labelmap(torso_ct(), tmp_path / "labels.nii", {})
    half = torso_ct().with_array(np.full((24, 32, 40), 0.5))
    with pytest.raises(ValueError, match="not labels"):
        write_labelmap(half, tmp_path / "labels.nii", {})


def test_whole_numbers_in_floats_are_labels(tmp_path: Path) -> None:
    labels, _ = torso_labels()
    write_nifti(labels.with_array(labels.array.astype(np.float32)), tmp_path / "labels.nii")
    back = read_labelmap(tmp_path / "labels.nii")
    assert back.array.dtype == np.uint8
    assert np.array_equal(back.array, labels.array)


def test_a_labelmap_may_be_small_and_sheared(tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[0, 2] = 0.4
    labels = Image(np.ones((1, 2, 2), np.uint8), matrix)
    write_labelmap(labels, tmp_path / "labels.nii", {1: "liver"})
    assert same_grid(read_labelmap(tmp_path / "labels.nii"), labels)
