"""The report of a run: numbers per structure, warnings about image and result, tables."""

from __future__ import annotations

from .content import (
    DEMO_BANNER,
    SCHEMA,
    input_record,
    make_report,
    provenance_texts,
    public_provenance,
)
from .image_checks import check_image, guess_modality
from .result_checks import check_result, empty_notice
from .structures import Intensities, StructureReport, measure, segment_records, shifted
from .table import write_csv

__all__ = [
    "DEMO_BANNER",
    "SCHEMA",
    "Intensities",
    "StructureReport",
    "check_image",
    "check_result",
    "empty_notice",
    "guess_modality",
    "input_record",
    "make_report",
    "measure",
    "provenance_texts",
    "public_provenance",
    "segment_records",
    "shifted",
    "write_csv",
]
