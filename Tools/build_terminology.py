#!/usr/bin/env python3
"""Make Slicer's terminology and colour table from the catalogue, so that all can be chosen there.

Runs anywhere; needs only the standard library:

    python Tools/build_terminology.py               # writes the two files under Resources
    python Tools/build_terminology.py --check       # exits with 1 if the committed files differ
    python Tools/build_terminology.py --coverage    # per task: classes, and how many are complete
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from generated_files import REPOSITORY, check_parser, write_or_compare
from structure_colors import MINIMUM_COLOR_DISTANCE, color_distance

from TotalSegmentatorLib.catalog import TERMINOLOGY_CONTEXT, Code, Structure, structures
from TotalSegmentatorLib.catalog.terminology import ANATOMICAL_STRUCTURE, ANY_STRUCTURE

RESOURCES = REPOSITORY / "TotalSegmentator" / "Resources"
TERMINOLOGY = (
    RESOURCES / "Terminology" / "SegmentationCategoryTypeModifier-TotalSegmentator.term.json"
)
# Slicer takes a .labels.csv for a colour table, and other .csv files for tables.
COLOR_TABLE = RESOURCES / "Colors" / "TotalSegmentator.labels.csv"
SCHEMA = (
    "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#"
)
COLOR_COLUMNS = (
    *("LabelValue", "Name", "Color_R", "Color_G", "Color_B", "Color_A"),
    *(
        f"{code}_{part}"
        for code in ("Category", "Type", "TypeModifier", "Region", "RegionModifier")
        for part in ("CodingScheme", "CodeValue", "CodeMeaning")
    ),
)


def main() -> int:
    parser = check_parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="write nothing; print how many classes of each task have codes, names and colours of "
        "their own, and exit with 1 if not all have",
    )
    arguments = parser.parse_args()
    if arguments.coverage:
        return print_coverage(structures())
    terminology = json.dumps(build_terminology(structures()), indent=1, ensure_ascii=False) + "\n"
    files = {TERMINOLOGY: terminology, COLOR_TABLE: build_color_table(structures())}
    return write_or_compare(files, arguments.check)


def build_terminology(all_structures: Iterable[Structure]) -> dict[str, Any]:
    """The terminology file's content: categories, their types, the types' modifiers.

    Codes are told apart by scheme and value alone; the first meaning met is the one written.
    """
    categories: dict[tuple[str, str], list[Structure]] = {}
    for structure in all_structures:
        categories.setdefault(_key(structure.category), []).append(structure)
    return {
        "SegmentationCategoryTypeContextName": TERMINOLOGY_CONTEXT,
        "@schema": SCHEMA,
        "SegmentationCodes": {"Category": [_category(group) for group in categories.values()]},
    }


def _category(group: list[Structure]) -> dict[str, Any]:
    category = group[0].category
    types: dict[tuple[str, str], list[Structure]] = {}
    for structure in group:
        types.setdefault(_key(structure.type), []).append(structure)
    return {
        **_code(category),
        # What is not anatomy itself (a cyst, an implant) is said together with where it is.
        "showAnatomy": "false" if _key(category) == _key(ANATOMICAL_STRUCTURE) else "true",
        "Type": [_type(same) for same in types.values()],
    }


def _type(same: list[Structure]) -> dict[str, Any]:
    """One type; it shows the name and colour of the first structure that is just this type."""
    entry: dict[str, Any] = _code(same[0].type)
    if _key(same[0].type) != _key(ANY_STRUCTURE):
        entry |= _shown(same, [s for s in same if not (s.type_modifier or s.region)])
    modifiers: dict[tuple[str, str], list[Structure]] = {}
    for structure in same:
        if structure.type_modifier:
            modifiers.setdefault(_key(structure.type_modifier), []).append(structure)
    if modifiers:
        entry["Modifier"] = [_modifier(group) for group in modifiers.values()]
    return entry


def _modifier(group: list[Structure]) -> dict[str, Any]:
    first = group[0]
    assert first.type_modifier is not None
    return _code(first.type_modifier) | _shown(group, [s for s in group if not s.region])


def _shown(all_of_it: list[Structure], plain: list[Structure]) -> dict[str, Any]:
    """The file cannot say what a type is called in a certain region."""
    shown: dict[str, Any] = {"recommendedDisplayRGBValue": list((plain or all_of_it)[0].color)}
    if plain:
        shown["3dSlicerLabel"] = plain[0].name
    return shown


def _code(code: Code) -> dict[str, Any]:
    return {
        "CodeMeaning": code.meaning,
        "CodingSchemeDesignator": code.scheme,
        "CodeValue": code.value,
    }


def _key(code: Code) -> tuple[str, str]:
    return code.scheme, code.value


def build_color_table(all_structures: Iterable[Structure]) -> str:
    """A colour table as Slicer writes it: label 0 is the background, the others count from 1."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(COLOR_COLUMNS)
    writer.writerow([0, "Background", 0, 0, 0, 0, *[""] * 15])
    for label, structure in enumerate(all_structures, start=1):
        codes = (
            part
            for code in structure.codes
            for part in ((code.scheme, code.value, code.meaning) if code else ("", "", ""))
        )
        writer.writerow([label, structure.name, *structure.color, 255, *codes])
    return text.getvalue()


@dataclass(frozen=True)
class Coverage:
    """How many classes of a task are complete.

    :param classes: all of them.
    :param coded: those with a type of their own: more than "any structure", and no other class of
        the task has the same codes.
    :param named: those with a name that no other class of the task has.
    :param colored: those with a colour that differs enough from all others of the task.
    """

    task: str
    classes: int
    coded: int
    named: int
    colored: int

    @property
    def complete(self) -> bool:
        return self.coded == self.named == self.colored == self.classes


def coverage(task: str, members: Sequence[Structure]) -> Coverage:
    """Count what is complete among the structures of one task."""
    codes = [tuple(code and _key(code) for code in s.codes) for s in members]
    names = [s.name for s in members]
    return Coverage(
        task=task,
        classes=len(members),
        coded=sum(
            codes.count(code) == 1 and _key(s.type) != _key(ANY_STRUCTURE)
            for s, code in zip(members, codes, strict=True)
        ),
        named=sum(bool(name) and names.count(name) == 1 for name in names),
        colored=sum(_is_distinct(s, members) for s in members),
    )


def _is_distinct(structure: Structure, members: Iterable[Structure]) -> bool:
    return all(
        color_distance(structure.color, other.color) >= MINIMUM_COLOR_DISTANCE
        for other in members
        if other is not structure
    )


def print_coverage(all_structures: Iterable[Structure]) -> int:
    """Print a row per task, hidden ones too; the exit code is 1 if one is not complete."""
    tasks: dict[str, list[Structure]] = {}
    for structure in all_structures:
        for task in structure.tasks:
            tasks.setdefault(task, []).append(structure)
    rows = [coverage(task, members) for task, members in sorted(tasks.items())]
    print(f"{'task':<28}{'classes':>8}{'coded':>8}{'named':>8}{'coloured':>10}")
    for row in rows:
        print(f"{row.task:<28}{row.classes:>8}{row.coded:>8}{row.named:>8}{row.colored:>10}")
    print(f"{sum(row.complete for row in rows)} of {len(rows)} tasks are complete")
    return 0 if all(row.complete for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
