"""Structured reports, as highdicom reads them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import (
    Comprehensive3DSR,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
    srread,
)
from made_orders import content, made_order, source_of_slices
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from SampleData.dicom_series import save, slices_of
from support.standard import errors_of

from TotalSegmentatorLib.catalog.terminology import LEFT, RIGHT, Code
from TotalSegmentatorLib.dicom.orders import Order
from TotalSegmentatorLib.dicom.writing.measurements import write_measurements
from TotalSegmentatorLib.dicom.writing.segmentation import write_segmentation

SHAPE = (4, 12, 16)
KIDNEY = Code("SCT", "64033007", "Kidney")
TOOTH = Code("SCT", "860767006", "Permanent maxillary right canine tooth")
PULP = Code("99TSEG", "dental_pulp", "Dental pulp")
LESION = Code("SCT", "49755003", "Morphologically Altered Structure")
CYST = Code("SCT", "367643001", "Cyst")
MEASURED = {"volume_ml": 123.456789012345678, "mean": 31.25, "sd": 12.5, "median": 30.0}
SEGMENTS = (
    content(2, name="Right kidney", type=KIDNEY, type_modifier=RIGHT, **MEASURED),
    content(3, name="Not found", volume_ml=0.0),
    content(5, category=LESION, type=CYST, region=KIDNEY, region_modifier=LEFT, volume_ml=0.5),
    content(7, type=TOOTH, type_modifier=PULP),
)

Group = VolumetricROIMeasurementsAndQualitativeEvaluations


@pytest.fixture(params=["CT"])
def slices(request: pytest.FixtureRequest) -> list[Dataset]:
    return slices_of(np.zeros(SHAPE, np.int16), modality=request.param)


@pytest.fixture
def order(slices: list[Dataset], tmp_path: Path) -> Order:
    return order_for(slices, tmp_path)


def order_for(slices: Sequence[Dataset], folder: Path) -> Order:
    (header,) = save(slices[:1], folder / "images")
    return made_order(source_of_slices(slices, header), [], folder / "written", SEGMENTS)


def written(order: Order) -> tuple[Comprehensive3DSR, Dataset]:
    """The report and the segmentation that it is about."""
    labels = np.zeros(SHAPE, np.uint8)
    for label, first in ((2, 0), (5, 4), (7, 8)):
        labels[1:3, first : first + 3, 2:9] = label
    segmentation = write_segmentation(order, [labels], order.folder / "seg.dcm", lambda: None)
    write_measurements(order, segmentation, order.folder / "sr.dcm")
    return srread(order.folder / "sr.dcm"), segmentation.header


def groups_of(report: Comprehensive3DSR) -> Sequence[Group]:
    return report.content.get_volumetric_roi_measurement_groups()


def values_of(group: Group) -> list[tuple[str, str | None, float, str]]:
    return [
        (
            one.name.meaning,
            one.derivation and one.derivation.meaning,
            one.value,
            one.unit.CodeValue,
        )
        for one in group.get_measurements()
    ]


def test_every_segment_has_its_measurements(order: Order) -> None:
    kidney, cyst, pulp = groups_of(written(order)[0])
    assert values_of(kidney) == [
        ("Volume", None, 123.456789012345678, "cm3"),
        ("Attenuation Coefficient", "Mean", 31.25, "[hnsf'U]"),
        ("Attenuation Coefficient", "Standard Deviation", 12.5, "[hnsf'U]"),
        ("Attenuation Coefficient", "Median", 30.0, "[hnsf'U]"),
    ]
    assert values_of(cyst) == [("Volume", None, 0.5, "cm3")]
    assert values_of(pulp) == []


@pytest.mark.parametrize("slices", ["MR"], indirect=True)
def test_intensities_of_mr_have_no_unit(order: Order) -> None:
    values = values_of(groups_of(written(order)[0])[0])
    assert [value[3] for value in values] == ["cm3", "1", "1", "1"]
    assert {value[0] for value in values[1:]} == {"MR signal intensity"}


def test_intensities_of_other_images_are_left_out(order: Order) -> None:
    order = replace(order, source=replace(order.source, modality="PT"))
    assert [value[0] for value in values_of(groups_of(written(order)[0])[0])] == ["Volume"]


def test_what_was_found_and_where(order: Order) -> None:
    kidney, cyst, pulp = groups_of(written(order)[0])
    assert kidney.finding_category.value == "123037004"
    assert (kidney.finding_type.value, cyst.finding_type.value) == ("64033007", "367643001")
    (site,) = kidney.finding_sites
    assert (site.value.value, site.laterality.meaning) == ("64033007", "Right")
    (site,) = cyst.finding_sites
    assert (site.value.meaning, site.laterality.meaning) == ("Kidney", "Left")
    (site,) = pulp.finding_sites
    assert site.laterality is None
    assert site.topographical_modifier.meaning == "Dental pulp"


@pytest.mark.parametrize("options", [{}, {"labelmap": True}, {"empty_segments": True}], ids=str)
def test_groups_refer_to_the_segments_that_were_found(
    order: Order, options: dict[str, bool]
) -> None:
    *others, last = order.segments
    segments = (*others, replace(last, made="MANUAL"))  # tracked by a UID made for this order
    order = replace(order, segments=segments, options=replace(order.options, **options))
    report, segmentation = written(order)
    described = [item for item in segmentation.SegmentSequence if item.SegmentNumber]
    assert len(described) == (4 if "empty_segments" in options else 3)
    found = [item for item in described if item.SegmentLabel != "Not found"]
    for group, item in zip(groups_of(report), found, strict=True):
        assert (group.tracking_uid, group.tracking_identifier) == (
            item.TrackingUID,
            item.TrackingID,
        )
        segment = group.referenced_segment
        assert segment.referenced_segment_numbers == [item.SegmentNumber]
        assert segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert segment.referenced_sop_class_uid == segmentation.SOPClassUID
        assert segment.source_series_for_segmentation.value == order.source.series_uid


def test_it_belongs_to_the_images(order: Order, slices: list[Dataset]) -> None:
    report, segmentation = written(order)
    for keyword in ("PatientName", "PatientID", "PatientSex", "StudyInstanceUID", "StudyDate"):
        assert report[keyword].value == slices[0][keyword].value
    instances = {one[2]: one[1] for one in report.get_evidence(current_procedure_only=True)}
    assert instances == {
        segmentation.SOPInstanceUID: segmentation.SeriesInstanceUID,
        **{one.SOPInstanceUID: one.SeriesInstanceUID for one in slices},
    }
    assert (report.Modality, report.SeriesNumber) == ("SR", 350)
    assert report.SeriesDescription == "TotalSegmentator(v2.18.0) Measurements of Series 3"
    assert report.SeriesInstanceUID not in instances.values()
    assert report.ContributingEquipmentSequence[0].Manufacturer == slices[0].Manufacturer
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99TSEG"


def test_a_program_has_observed_and_nobody_has_verified(order: Order) -> None:
    report, _ = written(order)
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    (context,) = report.content.get_observer_contexts()
    assert context.observer_type == codes.DCM.Device
    assert context.observer_identifying_attributes.name == report.Manufacturer


def test_a_demo_says_so(order: Order) -> None:
    order = replace(order, algorithm=replace(order.algorithm, demo=True))
    assert written(order)[0].SeriesDescription.startswith("DEMO MODEL ")


def test_dcmqi_reads_the_same(order: Order, tmp_path: Path) -> None:
    program = shutil.which("tid1500reader", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("dcmqi has no package for this computer")
    segmentation, found = written(order)[1], tmp_path / "found.json"
    command = [program, "--inputDICOM", order.folder / "sr.dcm", "--outputMetadata", found]
    subprocess.run(command, check=True, capture_output=True)
    kidney = json.loads(found.read_text("utf-8"))["Measurements"][0]
    assert kidney["Finding"]["CodeValue"] == "64033007"
    assert kidney["Laterality"]["CodeMeaning"] == "Right"
    assert kidney["ReferencedSegment"] == segmentation.SegmentSequence[0].SegmentNumber
    assert kidney["segmentationSOPInstanceUID"] == segmentation.SOPInstanceUID
    assert kidney["SourceSeriesForImageSegmentation"] == order.source.series_uid
    values = [float(item["value"]) for item in kidney["measurementItems"]]
    assert values == pytest.approx([123.456789, 31.25, 12.5, 30.0])


@pytest.mark.parametrize("named", [True, False], ids=["named", "anonymous"])
def test_the_standard_is_kept(named: bool, slices: list[Dataset], tmp_path: Path) -> None:
    if not named:
        for ds in slices:
            ds.PatientName, ds.PatientID, ds.StudyDate, ds.Manufacturer = "", "", None, ""
    order = order_for(slices, tmp_path)
    written(order)
    assert errors_of(order.folder / "sr.dcm") == []
