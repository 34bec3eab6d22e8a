"""Codes as Slicer sees them: entry strings, the terminology file, the colour table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from SampleData import slicer_terminologies

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Code
from TotalSegmentatorLib.catalog.terminology import parse_entry

REPOSITORY = Path(__file__).resolve().parents[3]
RESOURCES = REPOSITORY / "TotalSegmentator" / "Resources"
TERMINOLOGY = (
    RESOURCES / "Terminology" / "SegmentationCategoryTypeModifier-TotalSegmentator.term.json"
)
COLOR_TABLE = RESOURCES / "Colors" / "TotalSegmentator.labels.csv"
Spelling = dict[tuple[str, str], set[str]]
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


def test_entries_are_read_back() -> None:
    for structure in catalog.structures():
        assert parse_entry(structure.terminology_entry()) == structure.codes
        assert parse_entry(structure.terminology_entry() + "|") == structure.codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", (None,) * 5),
        ("List~SCT^1^One", (Code("SCT", "1", "One"), None, None, None, None)),
        ("List~SCT^^One~SCT^2^Two~^^|", (None, Code("SCT", "2", "Two"), None, None, None)),
    ],
)
def test_codes_that_are_not_whole_are_none(text: str, codes: tuple[Code | None, ...]) -> None:
    assert parse_entry(text) == codes


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
    offered = set(choices(logic))
    for structure in catalog.structures():
        wanted = (structure.category, structure.type, structure.type_modifier)
        assert wanted in offered, structure.id


def choices(logic: Any) -> Iterable[tuple[Code | None, ...]]:
    """All that people can choose in our terminology: category, type, modifier."""
    import slicer

    context = catalog.TERMINOLOGY_CONTEXT
    for n in range(logic.GetNumberOfCategoriesInTerminology(context)):
        category = slicer.vtkSlicerTerminologyCategory()
        assert logic.GetNthCategoryInTerminology(context, n, category)
        for m in range(logic.GetNumberOfTypesInTerminologyCategory(context, category)):
            type_ = slicer.vtkSlicerTerminologyType()
            assert logic.GetNthTypeInTerminologyCategory(context, category, m, type_)
            yield code_of(category), code_of(type_), None
            count = logic.GetNumberOfTypeModifiersInTerminologyType(context, category, type_)
            for k in range(count):
                modifier = slicer.vtkSlicerTerminologyType()
                assert logic.GetNthTypeModifierInTerminologyType(
                    context, category, type_, k, modifier
                )
                yield code_of(category), code_of(type_), code_of(modifier)


def test_slicer_gives_the_names_and_colors_of_total(logic: Any) -> None:
    for structure in TOTAL:
        if structure.region:
            continue  # the file cannot say what a type is called in a certain place
        entry = entry_of(logic, structure)
        assert logic.UpdateEntryFromLoadedTerminologies(entry, [], [])
        shown = entry.GetTypeModifierObject() if structure.type_modifier else entry.GetTypeObject()
        assert shown.GetSlicerLabel() == structure.name
        assert tuple(shown.GetRecommendedDisplayRGBValue()) == structure.color


def test_files_are_what_the_catalogue_says() -> None:
    result = run_tool("--check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_all_tasks_are_covered() -> None:
    result = run_tool("--coverage")
    assert result.returncode == 0, result.stdout
    *rows, total = (line.split() for line in result.stdout.splitlines()[1:])
    assert len(rows) == 65 and total[:3] == ["65", "of", "65"]
    assert ["total", "117", "117", "117", "117"] in rows
    assert all(len(set(row[1:])) == 1 for row in rows)


def run_tool(option: str) -> subprocess.CompletedProcess[str]:
    script = str(REPOSITORY / "Tools" / "build_terminology.py")
    return subprocess.run([sys.executable, script, option], capture_output=True, text=True)


def test_slicer_reads_the_color_table() -> None:
    slicer = pytest.importorskip("slicer")
    node = slicer.vtkMRMLColorTableNode()
    storage = slicer.vtkMRMLColorTableStorageNode()
    storage.SetFileName(str(COLOR_TABLE))
    assert storage.ReadData(node)
    assert node.GetNumberOfColors() == len(catalog.structures()) + 1
    for label, structure in enumerate(catalog.structures(), start=1):
        color = [0.0] * 4
        assert node.GetColor(label, color)
        assert [round(channel * 255) for channel in color] == [*structure.color, 255]
        assert node.GetColorName(label) == structure.name
        # Slicer writes the entry without the names of the contexts.
        codes = "~".join(structure.terminology_entry().split("~")[1:4])
        assert codes in node.GetTerminologyAsString(label)


# Spelling: Slicer's own lists, where they know a code


def codes_in(types: Iterable[dict[str, Any]]) -> tuple[Spelling, Spelling]:
    """The spellings of types (or regions) and of their modifiers."""
    spelled: tuple[Spelling, Spelling] = ({}, {})
    for type_ in types:
        for entry, known in ((type_, spelled[0]), *((m, spelled[1]) for m in modifiers(type_))):
            key = entry["CodingSchemeDesignator"], entry["CodeValue"]
            known.setdefault(key, set()).add(entry["CodeMeaning"])
    return spelled


def modifiers(type_: dict[str, Any]) -> list[dict[str, Any]]:
    return type_.get("Modifier", [])


@pytest.fixture(scope="module")
def slicers_own() -> dict[str, tuple[Spelling, Spelling]]:
    """Slicer's spellings of types and modifiers, by list."""
    files = slicer_terminologies.fetch()
    lists: dict[str, tuple[Spelling, Spelling]] = {}
    for name in ("dicom_master", "general_anatomy"):
        content = json.loads(getattr(files, name).read_text(encoding="utf-8"))
        categories = content["SegmentationCodes"]["Category"]
        lists[name] = codes_in(type_ for category in categories for type_ in category["Type"])
        assert len(lists[name][0]) > 60
    content = json.loads(files.anatomic_regions.read_text(encoding="utf-8"))
    lists["anatomic_regions"] = codes_in(content["AnatomicCodes"]["AnatomicRegion"])
    return lists


def spelling(code: Code, known: Iterable[Spelling]) -> set[str]:
    """What the first list that knows the code calls it; its own meaning if none does."""
    key = code.scheme, code.value
    return next((spelled[key] for spelled in known if key in spelled), {code.meaning})


def test_codes_are_spelled_as_in_slicer(slicers_own: dict[str, tuple[Spelling, Spelling]]) -> None:
    master, general, regions = (
        slicers_own[name] for name in ("dicom_master", "general_anatomy", "anatomic_regions")
    )
    orders = {
        "type": (master[0], general[0], regions[0]),
        "type_modifier": (master[1], general[1], regions[1]),
        "region": (regions[0], master[0], general[0]),
        "region_modifier": (regions[1], master[1], general[1]),
    }
    known = 0
    for structure in catalog.structures():
        for kind, lists in orders.items():
            code = getattr(structure, kind)
            if code:
                assert code.meaning in spelling(code, lists), (structure.id, code)
                known += any((code.scheme, code.value) in spelled for spelled in lists)
    assert known > 300


def test_categories_are_slicers_own() -> None:
    content = json.loads(slicer_terminologies.fetch().dicom_master.read_text(encoding="utf-8"))
    spelled, _ = codes_in(content["SegmentationCodes"]["Category"])
    for structure in catalog.structures():
        key = structure.category.scheme, structure.category.value
        assert structure.category.meaning in spelled[key], structure.id
