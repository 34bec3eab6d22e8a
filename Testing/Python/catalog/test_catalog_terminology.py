"""Codes as Slicer sees them: entry strings and the terminology file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Code

REPOSITORY = Path(__file__).resolve().parents[3]
TERMINOLOGY = (
    REPOSITORY
    / "TotalSegmentator"
    / "Resources"
    / "Terminology"
    / "SegmentationCategoryTypeModifier-TotalSegmentator.term.json"
)
TOTAL = [catalog.structure(id) for id in catalog.task("total").labels.values()]


@pytest.fixture(scope="module")
def logic() -> Any:
    """Slicer's terminology logic with our file loaded, and nothing else."""
    slicer = pytest.importorskip("slicer")
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    logic.SetMRMLScene(scene)
    assert logic.LoadTerminologyFromFile(str(TERMINOLOGY)) == catalog.TERMINOLOGY_CONTEXT
    return logic


def entry_of(logic: Any, structure: catalog.Structure) -> Any:
    import slicer

    entry = slicer.vtkSlicerTerminologyEntry()
    assert logic.DeserializeTerminologyEntry(structure.terminology_entry(), entry)
    return entry


def code_of(value: Any) -> Code | None:
    if not value.GetCodeValue():
        return None
    return Code(value.GetCodingSchemeDesignator(), value.GetCodeValue(), value.GetCodeMeaning())


def test_entry_string() -> None:
    assert catalog.structure("kidney_cyst_left").terminology_entry() == (
        "Segmentation category and type - TotalSegmentator"
        "~SCT^49755003^Morphologically Altered Structure"
        "~SCT^367643001^Cyst~^^"
        "~Anatomic codes - DICOM master list"
        "~SCT^64033007^Kidney~SCT^7771000^Left"
    )


def test_slicer_reads_the_same_codes_from_every_entry(logic: Any) -> None:
    for structure in catalog.structures():
        entry = entry_of(logic, structure)
        objects = (
            entry.GetCategoryObject(),
            entry.GetTypeObject(),
            entry.GetTypeModifierObject(),
            entry.GetRegionObject(),
            entry.GetRegionModifierObject(),
        )
        assert tuple(map(code_of, objects)) == structure.codes
        assert entry.GetTerminologyContextName() == catalog.TERMINOLOGY_CONTEXT
        assert logic.SerializeTerminologyEntry(entry) == structure.terminology_entry()


def test_every_structure_can_be_chosen_in_slicer(logic: Any) -> None:
    for structure in catalog.structures():
        modifier = structure.type_modifier
        found = logic.FindTerminologyNames(
            structure.category.scheme,
            structure.category.value,
            structure.type.scheme,
            structure.type.value,
            modifier.scheme if modifier else "",
            modifier.value if modifier else "",
            [],
        )
        assert found == (catalog.TERMINOLOGY_CONTEXT,), structure.id


def test_slicer_gives_the_names_and_colors_of_total(logic: Any) -> None:
    for structure in TOTAL:
        if structure.region:
            continue  # the file cannot say what a type is called in a certain place
        entry = entry_of(logic, structure)
        assert logic.UpdateEntryFromLoadedTerminologies(entry, [], [])
        shown = entry.GetTypeModifierObject() if structure.type_modifier else entry.GetTypeObject()
        assert shown.GetSlicerLabel() == structure.name
        assert tuple(shown.GetRecommendedDisplayRGBValue()) == structure.color


def test_file_is_what_the_catalogue_says() -> None:
    script = str(REPOSITORY / "Tools" / "build_terminology.py")
    result = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
