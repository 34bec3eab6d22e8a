"""Outputs are checked before the work and appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from SampleData.phantoms import torso_ct

from TotalSegmentatorLib.errors import InputError, SetupError
from TotalSegmentatorLib.images import check_output, write_nifti
from TotalSegmentatorLib.images.whole_file import whole_file

SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii")


def refused(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        check_output(path, **options)  # type: ignore[arg-type]
    assert str(path.parent) not in str(caught.value)
    assert caught.value.remedy
    return caught.value.code


def test_a_new_file_is_accepted_and_nothing_is_left(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "folder" / "labels.nii.gz", suffixes=SUFFIXES)
    check_output(tmp_path / "labels.seg.nrrd", suffixes=SUFFIXES, source=tmp_path / "ct.nii")
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(tmp_path: Path) -> None:
    ct = tmp_path / "ct.nii"
    ct.write_bytes(b"precious")
    assert refused(ct) == "output.exists"
    assert refused(ct, overwrite=True, source=ct) == "output.is_input"
    assert refused(tmp_path / "x" / ".." / "ct.nii", overwrite=True, source=ct) == "output.is_input"
    assert refused(tmp_path / "labels.nii", source=tmp_path) == "output.is_input"
    assert refused(tmp_path) == "output.is_folder"
    assert refused(tmp_path / "labels.png", suffixes=SUFFIXES) == "output.unknown_format"
    assert refused(ct / "labels.nii") == "output.not_writable"
    check_output(ct, overwrite=True)
    assert ct.read_bytes() == b"precious"


def test_a_link_to_the_input_is_the_input(tmp_path: Path) -> None:
    (tmp_path / "ct.nii").write_bytes(b"precious")
    (tmp_path / "link.nii").symlink_to(tmp_path / "ct.nii")
    code = refused(tmp_path / "link.nii", overwrite=True, source=tmp_path / "ct.nii")
    assert code == "output.is_input"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert refused(tmp_path / "labels.nii") == "output.not_writable"


def test_folders_are_made_when_the_file_is_written(tmp_path: Path) -> None:
    write_nifti(torso_ct(), tmp_path / "new" / "folder" / "ct.nii")
    assert (tmp_path / "new" / "folder" / "ct.nii").is_file()


def test_a_failed_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.nii"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="half"), whole_file(path) as part:
        part.write_bytes(b"new")
        raise RuntimeError("half")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, SetupError, "disk.full"),
        (errno.EACCES, InputError, "output.not_writable"),
    ],
)
def test_failures_of_the_file_system_have_a_remedy(
    number: int, kind: type[InputError | SetupError], code: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught, whole_file(tmp_path / "labels.nii") as part:
        part.write_bytes(b"half")
        raise OSError(number, os.strerror(number))
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []
