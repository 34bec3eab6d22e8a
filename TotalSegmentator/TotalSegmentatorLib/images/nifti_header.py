"""The header of a NIfTI file (versions 1 and 2), read and built without a library.

ITK accepts headers that put voxels at NaN or with negative sizes, and picks the qform over the
sform by rules of its own, so the header is read here. Layout and meaning: nifti1.h and nifti2.h
of the NIfTI Data Format Working Group, https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .failures import damaged
from .geometry import check_matrix, is_sheared, largest_distance_mm
from .image import Notice

HEADER_BYTES = 540
"""Bytes to read for :func:`parse_header`; version 1 needs only 348 of them."""

_FIELDS = {
    # name: (type and offset in version 1, type and offset in version 2)
    "sizeof_hdr": (("i4", 0), ("i4", 0)),
    "dim": (("8i2", 40), ("8i8", 16)),
    "datatype": (("i2", 70), ("i2", 12)),
    "bitpix": (("i2", 72), ("i2", 14)),
    "pixdim": (("8f4", 76), ("8f8", 104)),
    "vox_offset": (("f4", 108), ("i8", 168)),
    "scl_slope": (("f4", 112), ("f8", 176)),
    "scl_inter": (("f4", 116), ("f8", 184)),
    "xyzt_units": (("u1", 123), ("i4", 500)),
    "descrip": (("S80", 148), ("S80", 240)),
    "qform_code": (("i2", 252), ("i4", 344)),
    "sform_code": (("i2", 254), ("i4", 348)),
    "quatern": (("3f4", 256), ("3f8", 352)),
    "qoffset": (("3f4", 268), ("3f8", 376)),
    "srow": (("(3,4)f4", 280), ("(3,4)f8", 400)),
    "magic": (("S4", 344), ("S8", 4)),
}
_VOXEL_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8",
    256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}  # metres, micrometres; everything else means millimetres
_UNITS_MM = 2
_SCANNER_CODE = 1
_VERSION_1_BYTES, _VERSION_2_BYTES = 348, 540
_SFORM_QFORM_TOLERANCE_MM = 1.0
_QUATERNION_ROUNDING = 3 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class NiftiHeader:
    """What a reader needs of a header, checked.

    :param shape: (K, J, I).
    :param dtype: type of the voxels in the file, with its byte order.
    :param data_offset: where the voxels begin, bytes from the start of the (decompressed) file.
    :param extension_offset: where header extensions begin.
    :param slope, intercept: true value = stored value * slope + intercept.
    :param ijk_to_ras: (4, 4), mm RAS.
    :param notices: what people should know about its orientation.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    data_offset: int
    extension_offset: int
    slope: float
    intercept: float
    ijk_to_ras: np.ndarray
    notices: tuple[Notice, ...]


def is_nifti(head: bytes) -> bool:
    """Whether bytes are the beginning of a NIfTI file, header and voxels in one file."""
    return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"


def is_nifti_pair_or_analyze(head: bytes) -> bool:
    """Whether bytes are a header whose voxels are in another file (.hdr and .img)."""
    return not is_nifti(head) and head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c")


def parse_header(head: bytes, name: str) -> NiftiHeader:
    """Read and check a header.

    :param head: the first :data:`HEADER_BYTES` bytes of the decompressed file (fewer if it ends).
    :param name: the file's name for messages.
    :raises InputError: ``input.truncated``, ``input.not_3d``, ``input.not_scalar``,
        ``input.bad_geometry``, ``input.bad_scaling``, ``input.not_an_image``.
    """
    fields, header_bytes = _fields(head, name)
    shape = _shape([int(n) for n in fields["dim"]], name)
    slope, intercept = _scaling(float(fields["scl_slope"]), float(fields["scl_inter"]), name)
    ijk_to_ras, notices = _orientation(fields, shape, name)
    offset = float(fields["vox_offset"])
    if not math.isfinite(offset) or offset < 0:
        raise damaged(name, f"vox_offset {offset}")
    return NiftiHeader(
        shape=shape,
        dtype=_voxel_type(int(fields["datatype"]), fields.dtype, name),
        data_offset=max(int(offset), header_bytes + 4),
        extension_offset=header_bytes,
        slope=slope,
        intercept=intercept,
        ijk_to_ras=ijk_to_ras,
        notices=notices,
    )


def build_header(
    shape: Sequence[int],
    dtype: np.dtype,
    ijk_to_ras: np.ndarray,
    data_offset: int,
    description: str = "",
) -> bytes:
    """A version 1 header (348 bytes, little-endian) with sform and qform, code 1 (scanner).

    A qform cannot tell of a sheared grid. There its code is 0, so that readers which know no shear,
    such as ITK's, refuse the file instead of putting its voxels at a wrong place.

    :param shape: (K, J, I).
    :param dtype: one of NIfTI's scalar types.
    :param ijk_to_ras: (4, 4), mm RAS. The qform holds the nearest rotation to it.
    :param description: ``descrip``, ASCII, cut to its 79 characters.
    :raises ValueError: if NIfTI has no such voxel type.
    """
    codes = {np.dtype(text): code for code, text in _VOXEL_TYPES.items()}
    if dtype not in codes:
        raise ValueError(f"NIfTI has no voxel type {dtype}")
    fields = np.zeros((), _layout(version=1, byte_order="<"))
    # Of the matrix as the file holds it: readers that compute it find the same.
    spacing = np.linalg.norm(ijk_to_ras[:3, :3].astype(np.float32).astype(np.float64), axis=0)
    quaternion, qfac = _quaternion(ijk_to_ras[:3, :3] / spacing)
    fields["sizeof_hdr"] = _VERSION_1_BYTES
    fields["dim"] = [3, *reversed(shape), 1, 1, 1, 1]
    fields["datatype"] = codes[dtype]
    fields["bitpix"] = dtype.itemsize * 8
    fields["pixdim"] = [qfac, *spacing, 1, 1, 1, 1]
    fields["vox_offset"] = data_offset
    fields["scl_slope"] = 1
    fields["xyzt_units"] = _UNITS_MM
    fields["descrip"] = description.encode("ascii", "replace")[:79]
    fields["sform_code"] = _SCANNER_CODE
    fields["qform_code"] = 0 if is_sheared(ijk_to_ras) else _SCANNER_CODE
    fields["quatern"] = quaternion
    fields["qoffset"] = ijk_to_ras[:3, 3]
    fields["srow"] = ijk_to_ras[:3]
    fields["magic"] = b"n+1"
    return fields.tobytes()


def _layout(version: int, byte_order: str) -> np.dtype:
    chosen = {name: places[version - 1] for name, places in _FIELDS.items()}
    return np.dtype(
        {
            "names": list(chosen),
            "formats": [form for form, _ in chosen.values()],
            "offsets": [offset for _, offset in chosen.values()],
            "itemsize": (_VERSION_1_BYTES, _VERSION_2_BYTES)[version - 1],
        }
    ).newbyteorder(byte_order)


def _fields(head: bytes, name: str) -> tuple[np.ndarray, int]:
    for version, header_bytes in ((1, _VERSION_1_BYTES), (2, _VERSION_2_BYTES)):
        for byte_order in "<>":
            if int(np.frombuffer(head[:4].ljust(4, b"\0"), f"{byte_order}i4")[0]) == header_bytes:
                if len(head) < header_bytes:
                    raise damaged(name, "the file ends inside the header")
                layout = _layout(version, byte_order)
                return np.frombuffer(head[:header_bytes], layout)[0], header_bytes
    raise damaged(name, "sizeof_hdr is neither 348 nor 540")


def _shape(dim: Sequence[int], name: str) -> tuple[int, int, int]:
    count = dim[0]
    if not 1 <= count <= 7:
        raise damaged(name, f"dim[0] is {count}")
    size = list(dim[1 : count + 1])
    text = " x ".join(str(n) for n in size)
    if min(size) < 1:
        raise InputError(
            "input.bad_geometry",
            f"{name} has an impossible size in its header: {text} voxels.",
            "Export the image again from its source.",
        )
    if count < 3:
        raise InputError(
            "input.not_3d",
            f"{name} is a 2D image of {text} pixels.",
            "Choose a 3D volume.",
        )
    frames = math.prod(size[3:])
    if frames > 1:
        raise InputError(
            "input.not_3d",
            f"{name} holds {frames} volumes ({text}), but one is needed.",
            "Save the wanted volume (time point, phase) as a file of its own.",
        )
    return size[2], size[1], size[0]


def _voxel_type(code: int, layout: np.dtype, name: str) -> np.dtype:
    if code not in _VOXEL_TYPES:
        raise InputError(
            "input.not_scalar",
            f"{name} has voxels that are not single numbers (colour or complex, type {code}).",
            "Choose the original image with one intensity per voxel.",
        )
    return np.dtype(_VOXEL_TYPES[code]).newbyteorder(layout["sizeof_hdr"].byteorder)


def _scaling(slope: float, intercept: float, name: str) -> tuple[float, float]:
    if slope == 0:  # the standard's way to say that there is no scaling
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise InputError(
            "input.bad_scaling",
            f"{name} scales its intensities by {slope} and {intercept}.",
            "Set scl_slope to 1 and scl_inter to 0 in its header if that is what they should be.",
        )
    return slope, intercept


def _orientation(
    fields: np.ndarray, shape: Sequence[int], name: str
) -> tuple[np.ndarray, tuple[Notice, ...]]:
    """The sform if there is one, as nibabel and the official engine choose, else the qform."""
    scale = _MM_PER_UNIT.get(int(fields["xyzt_units"]) & 7, 1.0)
    sform = _in_mm(_sform(fields), scale) if fields["sform_code"] > 0 else None
    qform = _in_mm(_qform(fields), scale) if fields["qform_code"] > 0 else None
    chosen = sform if sform is not None else qform
    if chosen is None:
        # As ITK and Slicer place it; nibabel would centre it and call x left.
        spacing = np.abs(fields["pixdim"][1:4].astype(np.float64)) * scale
        chosen = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
        notices: tuple[Notice, ...] = (unknown_orientation(name),)
    else:
        notices = ()
    check_matrix(chosen, name)
    if sform is not None and qform is not None and np.isfinite(qform).all():
        distance = largest_distance_mm(sform, qform, shape)
        if distance > _SFORM_QFORM_TOLERANCE_MM:
            text = (
                f"{name} states two positions up to {distance:.1f} mm apart (sform and qform); "
                "the sform is used."
            )
            notices = (Notice("input.sform_qform", text),)
    return chosen, notices


def unknown_orientation(name: str) -> Notice:
    """The notice for an image that does not say where left and right are."""
    return Notice(
        "input.no_orientation",
        f"{name} does not state its orientation; left and right may be swapped.",
    )


def _in_mm(matrix: np.ndarray, scale: float) -> np.ndarray:
    return np.diag([scale, scale, scale, 1.0]) @ matrix


def _sform(fields: np.ndarray) -> np.ndarray:
    return np.vstack([fields["srow"].astype(np.float64), [0, 0, 0, 1]])


def _qform(fields: np.ndarray) -> np.ndarray:
    """nifti1.h, method 2: unit quaternion (a, b, c, d), spacing, qfac for the k axis, offset."""
    b, c, d = fields["quatern"].astype(np.float64)
    square = 1.0 - (b * b + c * c + d * d)
    # Near half turns the rest is rounding of b, c and d, and its root would be a thousandth.
    a = math.sqrt(square) if square > _QUATERNION_ROUNDING else 0.0
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    spacing = np.abs(fields["pixdim"][1:4].astype(np.float64))
    qfac = -1.0 if fields["pixdim"][0] < 0 else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * spacing * [1.0, 1.0, qfac]
    matrix[:3, 3] = fields["qoffset"]
    return matrix


def _quaternion(directions: np.ndarray) -> tuple[np.ndarray, float]:
    """(b, c, d) and qfac of the rotation nearest to *directions* (polar decomposition by SVD)."""
    qfac = -1.0 if np.linalg.det(directions) < 0 else 1.0
    left, _, right = np.linalg.svd(directions * [1.0, 1.0, qfac])
    rotation = left @ right
    # The unit quaternion is the eigenvector to the largest eigenvalue of this symmetric matrix
    # (Bar-Itzhack 2000): exact for every angle, with no cases.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx - yy - zz, xy + yx, xz + zx, zy - yz],
            [xy + yx, yy - xx - zz, yz + zy, xz - zx],
            [xz + zx, yz + zy, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    b, c, d, a = np.linalg.eigh(symmetric)[1][:, -1]
    return np.array([b, c, d]) * (-1.0 if a < 0 else 1.0), qfac
