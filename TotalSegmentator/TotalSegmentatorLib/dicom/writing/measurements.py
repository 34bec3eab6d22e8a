"""Structured reports (TID 1500): what was measured of the segments of a DICOM segmentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from ...catalog.terminology import LEFT, RIGHT, Code
from ..identifiers import stable_uid
from ..orders import Order, SegmentContent, Source
from .segmentation import WrittenSegmentation
from .template import EQUIPMENT, coded, coding_schemes, series_description, series_number

_OFFSET = 50  # behind the numbers of segmentations
_SIDES = {(side.scheme, side.value) for side in (LEFT, RIGHT)}
# Modality -> what intensities are and their unit. Nothing is known of those of other images.
_INTENSITIES = {
    "CT": (codes.DCM.AttenuationCoefficient, codes.UCUM.HounsfieldUnit),
    "MR": (codes.DCM.MRSignalIntensity, codes.UCUM.NoUnits),
}


def write_measurements(order: Order, segmentation: WrittenSegmentation, path: Path) -> None:
    """Write the measurements of the segments of a segmentation as one structured report.

    It has a group for each segment with voxels: what was found and where, volume, and mean,
    standard deviation and median of the intensities, as far as they are known.
    """
    header, found = segmentation.header, segmentation.found
    groups = [
        _group(order, found[item.SegmentNumber], header, item)
        for item in header.SegmentSequence
        if item.SegmentNumber in found
    ]
    content = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
    )
    report = Comprehensive3DSR(
        evidence=[header, *_images(order.source)],
        content=content,
        series_instance_uid=generate_uid(prefix=None),
        series_number=series_number(order, _OFFSET),
        series_description=series_description(order, "Measurements"),
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        is_complete=True,
        coding_schemes=coding_schemes(order) or None,
        **EQUIPMENT,
    )
    # Else it would say that we had acquired the images.
    report.ContributingEquipmentSequence = header.ContributingEquipmentSequence
    report.save_as(path)


def _images(source: Source) -> Iterator[Dataset]:
    """The images as evidence, each file once."""
    for instance, sop_class in {one.sop_instance: one.sop_class for one in source.slices}.items():
        image = Dataset()
        image.SOPClassUID = sop_class
        image.SOPInstanceUID = instance
        image.StudyInstanceUID = source.study_uid
        image.SeriesInstanceUID = source.series_uid
        yield image


def _observer() -> ObservationContext:
    """This program, and nobody else, has looked."""
    version = EQUIPMENT["software_versions"]
    device = DeviceObserverIdentifyingAttributes(
        uid=stable_uid(EQUIPMENT["manufacturer"], version),
        name=EQUIPMENT["manufacturer"],
        manufacturer_name=EQUIPMENT["manufacturer"],
        model_name=f"{EQUIPMENT['manufacturer_model_name']} {version}",
    )
    context = ObserverContext(CodedConcept.from_code(codes.DCM.Device), device)
    return ObservationContext(observer_device_context=context)


def _group(
    order: Order, segment: SegmentContent, header: Dataset, item: Dataset
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """
    :param header: the segmentation.
    :param item: the segment there.
    """
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(item.TrackingUID, item.TrackingID),
        referenced_segment=ReferencedSegment(
            header.SOPClassUID,
            header.SOPInstanceUID,
            item.SegmentNumber,
            source_series=SourceSeriesForSegmentation(order.source.series_uid),
        ),
        finding_category=coded(segment.category),
        finding_type=coded(segment.type),
        finding_sites=_sites(segment),
        measurements=list(_measurements(segment, order.source.modality)),
    )


def _sites(segment: SegmentContent) -> list[FindingSite]:
    """The structure itself, if a modifier says which one of several it is; and its region."""
    sites = []
    if segment.type_modifier:
        sites.append(_site(segment.type, segment.type_modifier))
    if segment.region:
        sites.append(_site(segment.region, segment.region_modifier))
    return sites


def _site(place: Code, modifier: Code | None) -> FindingSite:
    if modifier is None:
        return FindingSite(coded(place))
    if (modifier.scheme, modifier.value) in _SIDES:
        return FindingSite(coded(place), laterality=coded(modifier))
    return FindingSite(coded(place), topographical_modifier=coded(modifier))


def _measurements(segment: SegmentContent, modality: str) -> Iterator[Measurement]:
    if segment.volume_ml is not None:
        # DICOM lists cubic centimetres as a unit of volumes, and no millilitres.
        unit = codes.UCUM.CubicCentimeter
        yield Measurement(codes.SCT.Volume, float(segment.volume_ml), unit)
    if modality in _INTENSITIES:
        name, unit = _INTENSITIES[modality]
        for derivation, value in (
            (codes.SCT.Mean, segment.mean),
            (codes.SCT.StandardDeviation, segment.sd),
            (codes.SCT.Median, segment.median),
        ):
            if value is not None:
                yield Measurement(name, float(value), unit, derivation=derivation)
