#!/usr/bin/env python3
"""Make Slicer's terminology file from the catalogue, so that every structure can be chosen there.

Runs anywhere; needs only the standard library:

    python Tools/build_terminology.py            # writes the .term.json under Resources
    python Tools/build_terminology.py --check    # exits with 1 if the committed file differs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from generated_files import REPOSITORY, parse_check, write_or_compare

from TotalSegmentatorLib.catalog import TERMINOLOGY_CONTEXT, Code, Structure, structures
from TotalSegmentatorLib.catalog.terminology import ANATOMICAL_STRUCTURE, ANY_STRUCTURE

PATH = (
    REPOSITORY
    / "TotalSegmentator"
    / "Resources"
    / "Terminology"
    / "SegmentationCategoryTypeModifier-TotalSegmentator.term.json"
)
SCHEMA = (
    "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#"
)


def main() -> int:
    check = parse_check(__doc__.splitlines()[0])
    content = build_terminology(structures())
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return write_or_compare({PATH: text}, check)


def build_terminology(all_structures: Iterable[Structure]) -> dict[str, Any]:
    """The file's content: categories, their types, the types' modifiers.

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
    """One type; it shows the name and colour of a structure only if it stands for that one."""
    entry: dict[str, Any] = _code(same[0].type)
    if _key(same[0].type) != _key(ANY_STRUCTURE):
        plain = [s for s in same if not (s.type_modifier or s.region)]
        entry["recommendedDisplayRGBValue"] = list((plain or same)[0].color)
        if len(plain) == 1:
            entry["3dSlicerLabel"] = plain[0].name
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
    entry: dict[str, Any] = _code(first.type_modifier)
    if len(group) == 1:
        entry["recommendedDisplayRGBValue"] = list(first.color)
        entry["3dSlicerLabel"] = first.name
    return entry


def _code(code: Code) -> dict[str, Any]:
    return {
        "CodeMeaning": code.meaning,
        "CodingSchemeDesignator": code.scheme,
        "CodeValue": code.value,
    }


def _key(code: Code) -> tuple[str, str]:
    return code.scheme, code.value


if __name__ == "__main__":
    sys.exit(main())
