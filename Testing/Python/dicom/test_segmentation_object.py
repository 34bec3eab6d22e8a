"""The DICOM segmentation itself: what it says, how it is encoded, and what is refused."""

from __future__ import annotations

import errno
import logging
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription, segread
from made_orders import content, made_labels, made_order, source_of_slices
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.dataelem import RawDataElement
from pydicom.pixels.decoders import RLELosslessDecoder
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage, RLELossless
from SampleData.dicom_series import multiframe, save, slices_of
from support.programs import needed

from TotalSegmentatorLib.catalog.terminology import LEFT, RIGHT, Code
from TotalSegmentatorLib.dicom.orders import SEGMENTATION, Order, SourceSlice, Written
from TotalSegmentatorLib.dicom.writing import segmentation, writing
from TotalSegmentatorLib.dicom.writing.frames import labelmaps
from TotalSegmentatorLib.dicom.writing.template import plain, series_description, series_number
from TotalSegmentatorLib.engines.failures import classify
from TotalSegmentatorLib.errors import CancelledError, EngineError, InputError
from TotalSegmentatorLib.jobs import JobContext, Stage

SHAPE = (5, 9, 11)  # 99 pixels: frames begin within a byte
KIDNEY = Code("SCT", "64033007", "Kidney")


@pytest.fixture
def images() -> list[Dataset]:
    return slices_of(np.zeros(SHAPE, int), series=7)


@pytest.fixture
def make(images, tmp_path):
    """Makes an order for labels on the images."""

    def make(*labels: np.ndarray, name: str = "order", **values) -> Order:
        (header,) = save(values.pop("images", images)[:1], tmp_path / f"{name}-images")
        return made_order(source_of_slices(images, header), labels, tmp_path / name, **values)

    return make


def written(order: Order) -> Path:
    return result_of(order).files[SEGMENTATION]


def result_of(order: Order) -> Written:
    return writing.write(order, JobContext(lambda _: None))


def labels_in(path: Path, images: list[Dataset], segments: list[int] | None = None) -> np.ndarray:
    """(slices, rows, columns, segments) bool, found by the images that frames refer to."""
    seg = segread(path)
    return seg.get_pixels_by_source_instance(
        [ds.SOPInstanceUID for ds in images],
        segment_numbers=segments,
        assert_missing_frames_are_empty=True,
    ).astype(bool)


# ---- what it says ---------------------------------------------------------------------------


def test_it_belongs_to_the_images(make, images):
    ds = dcmread(written(make(made_labels(SHAPE))))
    first = images[0]
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyDate",
        "StudyID",
        "AccessionNumber",
        "FrameOfReferenceUID",
    ):
        assert ds[keyword].value == first[keyword].value, keyword
    (series,) = ds.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == first.SeriesInstanceUID
    assert [
        (one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID)
        for one in (series.ReferencedInstanceSequence)
    ] == [(one.SOPClassUID, one.SOPInstanceUID) for one in images]
    assert ds.SeriesInstanceUID != first.SeriesInstanceUID
    assert (ds.Modality, ds.SOPClassUID) == ("SEG", "1.2.840.10008.5.1.4.1.1.66.4")
    assert (ds.SegmentationType, ds.SegmentsOverlap) == ("BINARY", "NO")


def test_numbers_and_words_follow_the_imaging_data_commons(make):
    order = make(made_labels(SHAPE))
    ds = dcmread(written(order))
    assert ds.SeriesNumber == 700
    assert ds.SeriesDescription == "TotalSegmentator(v2.18.0) Segmentation of Series 7"
    assert ds.ContentLabel == "SEGMENTATION"
    assert ds.ContentDescription == "TotalSegmentator 2.18.0 total"
    assert ds.Manufacturer and ds.ManufacturerModelName and ds.SoftwareVersions
    second = replace(order, part=1, algorithm=replace(order.algorithm, task="total_mr"))
    assert series_number(second, 50) == 751
    assert series_description(second, "Segmentation").endswith("of Series 7 (total_mr)")


@pytest.mark.parametrize(
    ("number", "part", "expected"), [(None, 2, 102), (0, 0, 100), (-3, 1, 101), (2**31 - 1, 0, 100)]
)
def test_series_numbers_stay_within_what_dicom_allows(make, number, part, expected):
    order = make(made_labels(SHAPE))
    order = replace(order, source=replace(order.source, number=number), part=part)
    assert series_number(order) == expected
    assert ("of Series" in series_description(order, "Segmentation")) == (number is not None)


def test_a_demo_model_is_named_in_the_object(make):
    order = make(made_labels(SHAPE))
    ds = dcmread(written(replace(order, algorithm=replace(order.algorithm, demo=True))))
    assert ds.SeriesDescription.startswith("DEMO MODEL ")
    assert ds.ContentDescription.startswith("DEMO MODEL ")


def test_segments_have_names_codes_colours_and_what_made_them(make):
    cyst = content(
        2,
        name="Left kidney cyst",
        id="kidney_cyst_left",
        description="2 : kidney_cyst_left",
        region=KIDNEY,
        region_modifier=LEFT,
        color=(200, 10, 20),
    )
    kidney = content(1, name="Right kidney", type=KIDNEY, type_modifier=RIGHT)
    labels = np.clip(made_labels(SHAPE), 0, 2)
    first, second = dcmread(written(make(labels, contents=[kidney, cyst]))).SegmentSequence
    assert (first.SegmentNumber, first.SegmentLabel) == (1, "Right kidney")
    assert (second.SegmentNumber, second.SegmentLabel) == (2, "Left kidney cyst")
    assert second.SegmentDescription == "TotalSegmentator 2 : kidney_cyst_left"
    assert first.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
    (type_,) = first.SegmentedPropertyTypeCodeSequence
    assert (type_.CodingSchemeDesignator, type_.CodeValue) == ("SCT", "64033007")
    (side,) = type_.SegmentedPropertyTypeModifierCodeSequence
    assert side.CodeValue == RIGHT.value
    (region,) = second.AnatomicRegionSequence
    assert region.CodeValue == KIDNEY.value
    assert region.AnatomicRegionModifierSequence[0].CodeValue == LEFT.value
    assert "AnatomicRegionSequence" not in first
    shown = CIELabColor.from_dicom_value(second.RecommendedDisplayCIELabValue).to_rgb()
    assert shown == pytest.approx((200, 10, 20), abs=1)
    assert (second.SegmentAlgorithmType, second.SegmentAlgorithmName) == (
        "AUTOMATIC",
        "TotalSegmentator",
    )
    (made_by,) = second.SegmentationAlgorithmIdentificationSequence
    assert made_by.AlgorithmVersion == "2.18.0"
    assert made_by.AlgorithmParameters == "task=total"
    assert made_by.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"


def test_every_colour_can_be_written():
    for color in np.stack(np.meshgrid(*[(0, 128, 255)] * 3), axis=-1).reshape(-1, 3):
        CIELabColor.from_rgb(*color.tolist())


def test_segments_of_people_name_no_algorithm(make):
    contents = [content(1, made="MANUAL"), content(2, made="SEMIAUTOMATIC")]
    labels = np.clip(made_labels(SHAPE), 0, 2)
    for options in ({}, {"labelmap": True}):
        path = written(make(labels, contents=contents, name=str(options), **options))
        *_, first, second = dcmread(path).SegmentSequence
        assert first.SegmentAlgorithmType == "MANUAL"
        assert "SegmentAlgorithmName" not in first
        assert second.SegmentAlgorithmName == "TotalSegmentator"


def test_tracking_is_the_same_in_every_run_and_the_objects_are_not(make):
    labels = made_labels(SHAPE)
    order = make(labels)
    one, again = (dcmread(written(order)) for _ in range(2))
    assert one.SOPInstanceUID != again.SOPInstanceUID
    assert one.SeriesInstanceUID != again.SeriesInstanceUID
    uids = [item.TrackingUID for item in one.SegmentSequence]
    assert uids == [item.TrackingUID for item in again.SegmentSequence]
    assert len(set(uids)) == 3
    assert one.SegmentSequence[0].TrackingID == "total structure_1"
    # A later run of another model may be all that is known.
    other = replace(order, algorithm=replace(order.algorithm, version="3"))
    assert dcmread(written(other)).SegmentSequence[0].TrackingUID == uids[0]
    other = replace(order, segments=(content(1, task="body"), content(2, made="MANUAL")))
    tracked = [
        item.TrackingUID for _ in range(2) for item in dcmread(written(other)).SegmentSequence
    ]
    assert tracked[0] == tracked[2]
    assert not {*tracked} & {*uids}
    assert tracked[1] != tracked[3]


def test_segments_name_their_own_task(make):
    order = make(
        made_labels(SHAPE),
        contents=[content(1), content(2, task="liver_vessels"), content(3, task="body")],
    )
    algorithm = replace(order.algorithm, task="total (fast), liver_vessels")
    ds = dcmread(written(replace(order, algorithm=algorithm)))
    assert [
        one.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
        for one in ds.SegmentSequence
    ] == ["task=total (fast)", "task=liver_vessels", "task=body"]


def test_own_codes_are_declared_if_they_are_used(make):
    own = content(1, type_modifier=Code("99TSEG", "L6", "L6"))
    assert "CodingSchemeIdentificationSequence" not in dcmread(written(make(made_labels(SHAPE))))
    ds = dcmread(written(make(made_labels(SHAPE), name="own", contents=[own])))
    (scheme,) = ds.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99TSEG"


def test_text_is_kept_and_fits(make):
    names = ["Left\\right\n heart", "肝臓 Ärzte", "x" * 90]
    contents = [content(n, name=name) for n, name in enumerate(names, 1)]
    ds = dcmread(written(make(made_labels(SHAPE), contents=contents)))
    assert [one.SegmentLabel for one in ds.SegmentSequence] == [
        "Left right heart",
        "肝臓 Ärzte",
        "x" * 64,
    ]
    assert plain("a" * 63 + " b") == "a" * 63


# ---- odd images -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_what_images_lack_or_have_wrong_becomes_empty(make, images):
    first = images[0]
    del first.PatientSex, first.StudyID, first.ReferringPhysicianName, first.AccessionNumber
    with disable_value_validation():
        first.PatientBirthDate, first.StudyTime = "02/01/1970", "noon"
        first.LossyImageCompression = ""
    ds = dcmread(written(make(made_labels(SHAPE))))
    for keyword in ("PatientSex", "StudyID", "PatientBirthDate", "StudyTime", "AccessionNumber"):
        assert keyword in ds
        assert not ds[keyword].value, keyword
    assert ds.LossyImageCompression == "00"
    with disable_value_validation():
        first.PatientSex = "male"
    assert not dcmread(written(make(made_labels(SHAPE), name="sex"))).PatientSex
    first.PatientName, first.PatientID = "A^B\\C", "1\\2"
    ds = dcmread(written(make(made_labels(SHAPE), name="several")))
    assert (ds.PatientName, ds.PatientID) == ("A^B C", "1 2")


def raw(ds: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """Set what no dataset would take, as a file may have it."""
    tag = Tag(keyword)
    ds._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "kept"),
    [
        ("LossyImageCompressionRatio", "DS", b"10:1", None),
        ("LossyImageCompressionRatio", "DS", b"10.5\\3 ", [10.5, 3]),
        ("PatientName", "SQ", b"", ""),
        ("PatientName", "PN", b"M\xfcller^X\xff ", "Müller^Xÿ"),
        ("PatientID", "UN", b"ABC ", "ABC"),
        ("PatientID", "LO", b"AB\0\0", "AB"),
        ("PatientSex", "US", b"\x4d\x00", ""),
        ("StudyDate", "LO", b"20200101", "20200101"),
        ("StudyDate", "DA", b"20200101-20200102 ", ""),
        ("StudyDate", "DA", b"2020.01.02", "20200102"),
        ("StudyTime", "TM", b"10:11:12", "101112"),
        ("StudyID", "US", b"\x4d\x00", "77"),
        ("PatientAge", "AS", b"030Y", "030Y"),
        ("PatientAge", "AS", b"30 years", None),
        ("StudyDescription", "LO", b"a\\b", "a b"),
        ("PatientIdentityRemoved", "CS", b"MAYBE ", None),
        ("DeidentificationMethodCodeSequence", "LO", b"by hand ", None),
        ("ClinicalTrialProtocolID", "LO", b"P1", None),
    ],
)
def test_no_value_of_a_header_hinders_writing(make, images, keyword, vr, value, kept):
    images[0].SpecificCharacterSet = "ISO_IR 100"
    images[0].LossyImageCompression = "01"
    raw(images[0], keyword, vr, value)
    ds = dcmread(written(make(made_labels(SHAPE))))
    assert (ds[keyword].value or "" if keyword in ds else None) == kept


def test_codes_of_removed_identities_are_kept_in_any_writing(make, images):
    images[0].SpecificCharacterSet = "ISO_IR 100"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "Schädel entfernt"
    images[0].DeidentificationMethodCodeSequence = [code]
    ds = dcmread(written(make(made_labels(SHAPE))))
    (kept,) = ds.DeidentificationMethodCodeSequence
    assert (kept.CodeValue, kept.CodeMeaning) == ("1", "Schädel entfernt")


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
def test_names_in_any_writing_are_kept(make, images, character_set, name):
    for ds in images:
        ds.SpecificCharacterSet, ds.PatientName = character_set, name
    ds = dcmread(written(make(made_labels(SHAPE), contents=[content(1, name="脾臓")])))
    assert str(ds.PatientName) == name
    assert ds.SegmentSequence[0].SegmentLabel == "脾臓"


def test_what_was_lossy_is_told(make, images):
    images[0].LossyImageCompression = "01"
    images[0].LossyImageCompressionRatio = 10.5
    images[0].LossyImageCompressionMethod = "ISO_10918_1"
    ds = dcmread(written(make(made_labels(SHAPE))))
    assert (ds.LossyImageCompression, ds.LossyImageCompressionRatio) == ("01", 10.5)


def test_frames_of_one_file_are_named_by_their_numbers(make, images, tmp_path):
    enhanced = multiframe(images)
    (header,) = save([enhanced], tmp_path / "enhanced")
    labels, order = made_labels(SHAPE), make(made_labels(SHAPE))
    frames = tuple(
        SourceSlice(str(enhanced.SOPClassUID), str(enhanced.SOPInstanceUID), n, *place)
        for n, place in enumerate(
            ((one.position, one.orientation) for one in order.source.slices), 1
        )
    )
    path = written(replace(order, source=replace(order.source, header=header, slices=frames)))
    ds = dcmread(path)
    (series,) = ds.ReferencedSeriesSequence
    (instance,) = series.ReferencedInstanceSequence
    assert instance.ReferencedSOPClassUID == EnhancedCTImageStorage
    found = segread(path).get_pixels_by_source_frame(
        enhanced.SOPInstanceUID,
        list(range(1, len(frames) + 1)),
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    assert np.array_equal(found, labels)


def test_images_that_have_gone_are_told_without_their_path(make):
    order = make(made_labels(SHAPE))
    order.source.header.unlink()
    with pytest.raises(InputError) as caught:
        result_of(order)
    assert caught.value.code == "input.not_readable"
    assert order.source.header.parent.name not in f"{caught.value}{caught.value.details}"


def test_no_message_repeats_what_headers_say(make, images, monkeypatch, caplog, recwarn):
    name = "Doe" + " John"  # else its line in this file would be in the details

    def fail(*_: object) -> None:
        logging.getLogger("highdicom.base").warning(name)
        raise ValueError(name)

    with disable_value_validation():
        images[0].PatientName, images[0].PatientID = name, "x" * 70  # both are warned of
    order = make(made_labels(SHAPE))
    recwarn.clear()
    written(order)
    monkeypatch.setattr(writing, "write_segmentation", fail)
    with pytest.raises(EngineError) as caught:
        result_of(order)
    assert caught.value.code == "dicom.not_written"
    assert "ValueError" in caught.value.message
    assert "in fail" in caught.value.details
    assert "Doe" not in f"{caught.value}{caught.value.details}{caplog.text}"
    assert len(recwarn) == 0
    assert logging.root.manager.disable == logging.NOTSET


# ---- how it is encoded ----------------------------------------------------------------------


def frames_of(ds: Dataset) -> dict[tuple[int, str], tuple[dict, np.ndarray, list[int]]]:
    """By segment and image: what describes a frame, its pixels, and its dimension indices."""
    found = {}
    for groups, pixels in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, strict=True):
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        image = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        indices = list(groups.FrameContentSequence[0].DimensionIndexValues)
        del groups.FrameContentSequence[0].DimensionIndexValues
        found[segment, image] = (groups.to_json_dict(), pixels, indices)
    return found


def test_bitmaps_are_those_that_highdicom_makes(make, images):
    """All that is put together here against its slow way; it counts slices from the other end."""
    labels = made_labels(SHAPE)
    ours = dcmread(written(make(labels)))
    descriptions = [
        SegmentDescription(n, f"S {n}", codes.SCT.Organ, codes.SCT.Liver, "MANUAL")
        for n in (1, 2, 3)
    ]
    theirs = Segmentation(
        images,
        labels,
        "BINARY",
        descriptions,
        series_instance_uid="1.2",
        series_number=1,
        sop_instance_uid="1.2.3",
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
    )
    assert ours.NumberOfFrames == theirs.NumberOfFrames
    assert ours.pixel_array.shape == theirs.pixel_array.shape
    frames, others = frames_of(ours), frames_of(theirs)
    assert frames.keys() == others.keys()
    for key, (groups, pixels, indices) in frames.items():
        same_groups, same_pixels, (segment, rank) = others[key]
        assert groups == same_groups
        assert np.array_equal(pixels, same_pixels)
        assert indices == [segment, SHAPE[0] - rank]  # the first slice is empty
    missing = {element.keyword for element in theirs} - {element.keyword for element in ours}
    assert missing == {"SourceImageSequence"}  # what ReferencedSeriesSequence says too


def test_labels_are_found_by_the_images_that_they_came_from(make, images):
    labels = made_labels(SHAPE)
    found = labels_in(written(make(labels)), images)
    assert np.array_equal(found, labels[..., None] == [1, 2, 3])


def test_bitmaps_number_what_is_there_and_labelmaps_keep_labels(make, images):
    table = np.array([0, 5, 117, 4], np.uint8)
    labels = table[made_labels(SHAPE)]
    contents = [content(label) for label in (3, 4, 5, 116, 117)]
    bitmaps = written(make(labels, contents=contents))
    assert [one.SegmentNumber for one in dcmread(bitmaps).SegmentSequence] == [1, 2, 3]
    assert np.array_equal(labels_in(bitmaps, images), labels[..., None] == [4, 5, 117])
    path = written(make(labels, contents=contents, name="labelmap", labelmap=True))
    ds = dcmread(path)
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert ds.file_meta.TransferSyntaxUID == RLELossless
    assert [one.SegmentNumber for one in ds.SegmentSequence] == [0, 4, 5, 117]
    assert ds.NumberOfFrames == SHAPE[0]
    assert np.array_equal(labels_in(path, images, [4, 5, 117]), labels[..., None] == [4, 5, 117])


def test_labels_that_mean_nothing_are_left_out(make, images):
    labels = made_labels(SHAPE)
    for options in ({}, {"labelmap": True}):
        path = written(make(labels, contents=[content(2)], name=str(options), **options))
        numbers = [2] if options else [1]
        assert np.array_equal(labels_in(path, images, numbers), labels[..., None] == 2)
        assert np.count_nonzero(segread(path).pixel_array) == np.count_nonzero(labels == 2)


def test_large_labels_have_two_bytes(make):
    table = np.array([0, 255, 256, 60000], np.uint16)
    labels = table[made_labels(SHAPE)]
    ds = dcmread(written(make(labels, labelmap=True)))
    assert ds.BitsAllocated == 16
    assert np.array_equal(ds.pixel_array, labels)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("columns", [1, 2, 127, 128, 129, 300])
def test_run_lengths_are_decoded_to_what_they_were(kind, columns):
    rng = np.random.default_rng(columns)
    planes = np.zeros((4, 5, columns), kind)
    planes[1] = rng.integers(0, np.iinfo(kind).max, planes[1].shape, endpoint=True)
    planes[2] = np.iinfo(kind).max
    planes[3] = np.sort(rng.integers(0, 3, planes[3].shape) * 127)
    encoded = b"".join(labelmaps(planes))
    found = RLELosslessDecoder.as_array(
        encoded[12:],
        raw=True,
        rows=5,
        columns=columns,
        number_of_frames=4,
        samples_per_pixel=1,
        bits_allocated=8 * planes.itemsize,
        bits_stored=8 * planes.itemsize,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        pixel_keyword="PixelData",
    )
    assert np.array_equal(found[0], planes)


def test_deflated_files_hold_the_same(make, images):
    labels = made_labels(SHAPE)
    plain_path = written(make(labels))
    path = written(make(labels, name="deflated", deflate=True))
    ds = dcmread(path)
    assert ds.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert ds.PixelData == dcmread(plain_path).PixelData
    assert path.stat().st_size < plain_path.stat().st_size / 2
    assert path.stat().st_size % 2 == 0
    assert np.array_equal(labels_in(path, images), labels[..., None] == [1, 2, 3])


def test_layers_may_overlap_and_a_labelmap_shows_the_later_one(make, images):
    lower, upper = made_labels(SHAPE), (made_labels(SHAPE, 1) == 1).astype(np.uint8) * 3
    path = written(make(lower, upper))
    assert dcmread(path).SegmentsOverlap == "UNDEFINED"
    found = labels_in(path, images)
    assert np.array_equal(found[..., :3], lower[..., None] == [1, 2, 3])
    assert np.array_equal(found[..., 3], upper == 3)
    result = result_of(make(lower, upper, name="labelmap", labelmap=True))
    assert [notice.code for notice in result.notices] == ["dicom.overlap"]
    merged = np.where(upper, 4, lower)
    found = labels_in(result.files[SEGMENTATION], images, [1, 2, 3, 4])
    assert np.array_equal(found, merged[..., None] == [1, 2, 3, 4])


def test_absent_segments_are_described_if_that_is_asked(make, images):
    labels = made_labels(SHAPE)
    contents = [content(label) for label in (1, 2, 3, 9)]
    for options in ({}, {"labelmap": True}):
        order = make(labels, contents=contents, name=str(options), empty_segments=True, **options)
        path = written(order)
        *_, last = dcmread(path).SegmentSequence
        assert last.SegmentLabel == "Structure 9"
        assert not labels_in(path, images, [int(last.SegmentNumber)]).any()


@pytest.mark.parametrize("options", [{}, {"labelmap": True}, {"empty_segments": True}], ids=str)
def test_without_any_structure_there_is_no_file(make, options):
    order = make(np.zeros(SHAPE, np.uint8), contents=[content(1)], **options)
    result = result_of(order)
    assert result.files == {}
    assert [notice.code for notice in result.notices] == ["dicom.nothing_found"]
    assert not list(order.folder.glob("*.dcm"))


def test_bitmaps_that_no_file_can_hold_are_refused_before_anything_is_written(make, monkeypatch):
    monkeypatch.setattr(segmentation, "MOST_BYTES", 10)
    order = make(made_labels(SHAPE))
    with pytest.raises(InputError) as caught:
        result_of(order)
    assert caught.value.code == "output.too_large"
    assert not list(order.folder.glob("*.dcm"))
    written(make(made_labels(SHAPE), name="labelmap", labelmap=True))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_one(make, monkeypatch, number):
    def fail(*_: object) -> None:
        try:
            raise OSError(number, "full")
        except OSError as error:
            raise OSError("With tag (0008,0005) got exception") from error  # as pydicom does

    monkeypatch.setattr(segmentation, "write_object", fail)
    with pytest.raises(OSError, match="full") as caught:
        result_of(make(made_labels(SHAPE)))
    assert classify(caught.value).code == "disk.full"


def test_labels_that_do_not_fit_the_images_are_refused(make):
    with pytest.raises(EngineError, match="ValueError"):
        result_of(make(made_labels((5, 9, 12))))


def test_writing_tells_what_it_does_and_can_be_stopped(make):
    events: list = []
    context = JobContext(events.append)
    order = make(made_labels(SHAPE))
    result = writing.write(order, context)
    assert events == [Stage("Writing the DICOM segmentation")]
    assert result.timings_s.keys() == {SEGMENTATION}
    assert Written.from_dict(result.to_dict()) == result
    calls = []

    def check() -> None:
        calls.append(0)
        if len(calls) == 3:
            raise CancelledError

    context.check = check
    with pytest.raises(CancelledError):
        writing.write(order, context)


# ---- judged by others -----------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False], ids=["named", "anonymous"])
def test_dciodvfy_finds_no_error(make, images, named):
    program = needed("dciodvfy")
    if not named:
        for ds in images:
            ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
    cyst = content(
        3, region=KIDNEY, region_modifier=LEFT, type_modifier=RIGHT, description="a cyst"
    )
    order = make(made_labels(SHAPE), contents=[content(1), content(2, made="MANUAL"), cyst])
    told = subprocess.run([program, "-new", written(order)], capture_output=True, text=True)
    assert re.findall(r"^Error.*", told.stdout + told.stderr, re.MULTILINE) == []
    assert "Segmentation" in told.stdout + told.stderr
