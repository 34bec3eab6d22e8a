"""Files to series: what belongs to which, what is missing, and what is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from SampleData.dicom_series import made_slices, save, uid

from TotalSegmentatorLib.dicom.headers import attribute
from TotalSegmentatorLib.dicom.identifiers import stable_uid, valid_uid
from TotalSegmentatorLib.dicom.series import find_series
from TotalSegmentatorLib.dicom.volumes import Found, Series
from TotalSegmentatorLib.errors import InputError


def only(found: Found) -> Series:
    (series,) = found.series
    return series


def without(slices: list[Dataset], *keywords: str) -> list[Dataset]:
    for ds in slices:
        for keyword in keywords:
            delattr(ds, keyword)
    return slices


# ---- series ---------------------------------------------------------------------------------


def test_series_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name, number in (("a", 7), ("b", 2), ("c", 11)):
        save(made_slices(series=number), tmp_path, name)
    found = find_series(tmp_path)
    assert [series.info.number for series in found.series] == [2, 7, 11]
    assert [series.info.description for series in found.series] == [
        f"Made series {number}" for number in (2, 7, 11)
    ]
    assert all(series.info.repaired == () for series in found.series)


def test_missing_identifiers_are_made_of_those_that_are_there(tmp_path: Path) -> None:
    slices = without(made_slices(), "StudyInstanceUID", "SeriesInstanceUID")
    save(slices, tmp_path / "a")
    series = only(find_series(tmp_path))
    instances = sorted(ds.SOPInstanceUID for ds in slices)
    assert series.info.uid == stable_uid("series", "1", "", *instances)
    assert series.info.repaired == ("StudyInstanceUID", "SeriesInstanceUID")
    (notice,) = series.volumes[0].notices
    assert notice.code == "input.repaired_uids"
    assert "StudyInstanceUID, SeriesInstanceUID" in notice.message
    assert "cannot be linked" in notice.message


def test_a_frame_of_reference_of_our_own_breaks_no_link(tmp_path: Path) -> None:
    save(without(made_slices(), "FrameOfReferenceUID"), tmp_path)
    series = only(find_series(tmp_path))
    (notice,) = series.volumes[0].notices
    assert "FrameOfReferenceUID" in notice.message and "linked" not in notice.message
    assert valid_uid(series.volumes[0].series.frame_of_reference_uid)


def test_images_without_any_identifier_stay_apart(tmp_path: Path) -> None:
    slices = made_slices()
    for ds in slices:
        del ds.SOPInstanceUID
    for number, ds in enumerate(slices):
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.save_as(tmp_path / f"{number}.dcm")
    series = only(find_series(tmp_path))
    assert series.info.repaired == ("SOPInstanceUID",)
    instances = {one.sop_instance for one in series.volumes[0].slices}
    assert len(instances) == len(slices)
    assert all(map(valid_uid, instances))


def test_instances_of_the_meta_header_are_not_made_up(tmp_path: Path) -> None:
    slices = made_slices()
    wanted = [str(ds.SOPInstanceUID) for ds in slices]
    for number, ds in enumerate(slices):
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.SOPInstanceUID = ds.SOPClassUID = ""
        ds.save_as(tmp_path / f"{number}.dcm")
    series = only(find_series(tmp_path))
    assert series.info.repaired == ()
    assert [one.sop_instance for one in series.volumes[0].slices] == wanted
    assert {one.sop_class for one in series.volumes[0].slices} == {"1.2.840.10008.5.1.4.1.1.2"}


def test_series_without_identifiers_are_told_apart(tmp_path: Path) -> None:
    """By their numbers, and by their folders."""
    no_uid = ("SeriesInstanceUID",)
    save(without(made_slices(), *no_uid), tmp_path, "a")
    save(without(made_slices(series=4), *no_uid), tmp_path, "b")
    save(without(made_slices(patient="2"), *no_uid), tmp_path, "c")
    save(without(made_slices(patient="3"), *no_uid, "PatientID"), tmp_path / "3")
    save(without(made_slices(patient="4"), *no_uid, "PatientID"), tmp_path / "4")
    found = find_series(tmp_path)
    assert len({series.info.uid for series in found.series}) == len(found.series) == 5


def test_one_identifier_for_two_patients_is_none(tmp_path: Path) -> None:
    both = made_slices()[0].SeriesInstanceUID
    save(made_slices(), tmp_path, "a")
    save(made_slices(patient="2", SeriesInstanceUID=both), tmp_path, "b")
    first, second = find_series(tmp_path).series
    assert len({first.info.uid, second.info.uid, both}) == 3
    assert first.info.study_uid != second.info.study_uid


def test_a_copy_for_another_patient_is_a_series_of_its_own(tmp_path: Path) -> None:
    """With the same UIDs of images too."""
    save(made_slices(), tmp_path, "a")
    save(made_slices(PatientID="anonymous"), tmp_path, "b")
    first, second = find_series(tmp_path).series
    assert first.info.uid != second.info.uid
    assert len(first.volumes) == len(second.volumes) == 1


def test_what_cannot_be_told_apart_by_its_values_still_differs(tmp_path: Path) -> None:
    """Two folders with files that say nothing of whose they are."""
    no_uid = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID")
    for name in "ab":
        save(without(made_slices(), *no_uid), tmp_path / name)
    uids = [[series.info.uid for series in find_series(tmp_path).series] for _ in range(2)]
    assert len(set(uids[0])) == 2
    assert uids[0] == uids[1]


@pytest.mark.parametrize("uid", ["", "..", "1..2", ".1", "1.", "1/2", "1" * 65, "1.2\n", "1.٣"])
def test_what_is_no_uid(uid: str) -> None:
    assert valid_uid(uid) == ""


def test_stable_uids() -> None:
    assert valid_uid("1.2.840") == "1.2.840"
    uids = {stable_uid("a", "bc"), stable_uid("ab", "c"), stable_uid("a"), stable_uid()}
    assert len(uids) == 4
    assert all(map(valid_uid, uids))
    assert stable_uid("a", "bc") == stable_uid("a", "bc")


def test_localizers_are_left_out_and_counted(tmp_path: Path) -> None:
    scouts = made_slices(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:2]
    for ds in scouts:
        ds.SOPInstanceUID = uid(ds.SOPInstanceUID)
    save(made_slices(), tmp_path, "a")
    save(scouts, tmp_path, "b")
    (volume,) = only(find_series(tmp_path)).volumes
    assert len(volume.slices) == 8
    assert [(one.code, one.message) for one in volume.notices] == [
        ("input.localizer", "Series 3 is used without its 2 localizer images.")
    ]


# ---- files ----------------------------------------------------------------------------------


def test_files_are_counted_as_they_are_read(tmp_path: Path) -> None:
    save(made_slices(), tmp_path)
    counts: list[int] = []
    find_series(tmp_path, counts.append)
    assert counts == list(range(1, 9))


def test_a_file_that_is_gone_or_locked(tmp_path: Path) -> None:
    paths = save(made_slices(), tmp_path)
    paths[3].unlink()
    found = find_series(paths)
    codes = [refusal.code for series in found.series for refusal in series.refusals]
    assert codes == ["input.not_found"]


def test_a_folder_that_must_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in it may be missing in a series."""
    save(made_slices(), tmp_path / "locked")
    scandir = os.scandir

    def refusing(folder: str) -> object:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError) as caught:
        find_series(tmp_path)
    assert caught.value.code == "input.not_readable"
    assert caught.value.message.startswith("locked ")


def test_files_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save(made_slices(), tmp_path)
    monkeypatch.chdir(tmp_path)
    (volume,) = only(find_series([Path(path.name) for path in paths])).volumes
    assert [one.path for one in volume.slices] == paths


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find_series(tmp_path / "none")
    assert caught.value.code == "input.not_found"


def test_a_header_that_ends_too_early_belongs_to_its_series(tmp_path: Path) -> None:
    paths = save(made_slices(), tmp_path)
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[: content.index(b"\x28\0\x10\0")])  # before Rows
    series = only(find_series(tmp_path))
    assert [refusal.code for refusal in series.refusals] == ["input.damaged"]
    assert series.volumes == ()


@pytest.mark.parametrize("length", [132, 140, 200])
def test_a_file_that_ends_before_its_header_is_damaged(length: int, tmp_path: Path) -> None:
    path = save(made_slices(), tmp_path)[-1]
    path.write_bytes(path.read_bytes()[:length])
    found = find_series(tmp_path)
    codes = [refusal.code for series in found.series for refusal in series.refusals]
    assert codes == ["input.damaged"]
    assert not found.others


@pytest.mark.parametrize("values", [{"RescaleSlope": "1e30"}, {"RescaleIntercept": "-1e6"}])
def test_a_rescale_that_cannot_be_right(values, tmp_path: Path) -> None:
    save(made_slices(**values), tmp_path)
    (refusal,) = only(find_series(tmp_path)).refusals
    assert "rescale" in refusal.message


def test_the_content_of_nested_and_private_attributes_does_not_count(tmp_path: Path) -> None:
    slices = made_slices()
    for ds in slices:
        inner = Dataset()
        inner.ImagePositionPatient, inner.Modality, inner.Rows = [0, 0, 0], "SEG", 1
        ds.ReferencedImageSequence = [inner]
        ds.add_new(0x00290010, "LO", "SOMEONE")
        ds.add_new(0x00291010, "OB", bytes(5000))
    save(slices, tmp_path)
    assert len(only(find_series(tmp_path)).volumes) == 1


# ---- attributes -----------------------------------------------------------------------------


def test_attributes(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeMeaning = "Chest"
    path = save(made_slices(BodyPartExamined="CHEST", ProcedureCodeSequence=[code]), tmp_path)[0]
    assert attribute(path, "BodyPartExamined") == "CHEST"
    assert attribute(path, "ImageType") == "ORIGINAL\\PRIMARY\\AXIAL"
    assert attribute(path, "PatientName") == "Phantom^1"
    assert attribute(path, "SeriesNumber") == "3"
    assert attribute(path, "StudyDate") == "20200102"
    for none in ("Laterality", "AccessionNumber", "NoSuchKeyword", "ProcedureCodeSequence"):
        assert attribute(path, none) == ""
    (tmp_path / "notes.txt").write_text("nothing")
    assert attribute(tmp_path / "notes.txt", "Modality") == ""
    with pytest.raises(InputError):
        attribute(tmp_path / "none", "Modality")
