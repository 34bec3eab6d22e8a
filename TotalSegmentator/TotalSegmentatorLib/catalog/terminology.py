"""Codes, and the terminology entry strings in which Slicer keeps them on a segment."""

from __future__ import annotations

from dataclasses import dataclass

#: Name of our own terminology, ``Resources/Terminology`` (made from the catalogue).
TERMINOLOGY_CONTEXT = "Segmentation category and type - TotalSegmentator"
#: Name of the list of anatomic regions that Slicer ships.
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"
# Of the codes in an entry; the names of the lists that they come from stand between.
_PLACES = (1, 2, 3, 5, 6)


@dataclass(frozen=True)
class Code:
    """A coded concept as in DICOM (PS3.3, 8.8).

    :param scheme: coding scheme designator, e.g. ``SCT`` for SNOMED CT.
    :param value: code value; two codes are the same concept if scheme and value agree.
    :param meaning: the concept in words; wording differs between tables and is never compared.
    """

    scheme: str
    value: str
    meaning: str


ANATOMICAL_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")
ANY_STRUCTURE = Code("SCT", "91723000", "Anatomical structure")
LEFT = Code("SCT", "7771000", "Left")
RIGHT = Code("SCT", "24028007", "Right")


def serialize_entry(
    category: Code,
    type_: Code,
    type_modifier: Code | None = None,
    region: Code | None = None,
    region_modifier: Code | None = None,
) -> str:
    """One terminology entry in the form of ``vtkSlicerTerminologiesModuleLogic``.

    ``context~category~type~type modifier~anatomic context~region~region modifier``, where a code
    is ``scheme^value^meaning``. Nothing follows: Slicer takes a final ``|``, which older scripts
    write, for a part of the last meaning.
    """
    parts = [
        TERMINOLOGY_CONTEXT,
        *map(_serialize_code, (category, type_, type_modifier)),
        ANATOMIC_CONTEXT,
        *map(_serialize_code, (region, region_modifier)),
    ]
    return "~".join(parts)


def _serialize_code(code: Code | None) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}" if code else "^^"


def parse_entry(text: str) -> tuple[Code | None, ...]:
    """Category, type, type modifier, region and region modifier of a terminology entry.

    Entries of other modules and of older scripts may be shorter, or end with ``|``. A code that
    lacks its scheme, value or meaning is None.
    """
    parts = text.rstrip("|").split("~")
    return tuple(_parse_code(parts[n]) if n < len(parts) else None for n in _PLACES)


def _parse_code(text: str) -> Code | None:
    values = text.split("^")
    return Code(*values) if len(values) == 3 and all(values) else None
