"""Structures: name for people, codes and colour of every class that an engine can label."""

from __future__ import annotations

import colorsys
import csv
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from . import terminology
from .terminology import Code

_TABLE = Path(__file__).parent / "data" / "structures.csv"
_FDI = re.compile(r"_fdi(\d+)$")
_SIDES = {"left": terminology.LEFT, "right": terminology.RIGHT}
#: The anatomical groups, every structure is in one of them: id and title for people.
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "skeleton": "Bones, cartilages and joints",
        "spine": "Spine: vertebrae, discs, sacrum",
        "teeth": "Teeth and their canals",
        "muscles": "Muscles",
        "vessels": "Arteries and veins",
        "heart": "Heart",
        "lungs": "Lungs and airways",
        "digestive": "Digestive organs, with liver, pancreas and spleen",
        "urinary": "Kidneys and bladder",
        "reproductive": "Reproductive organs and breasts",
        "glands": "Glands",
        "brain": "Brain",
        "nerves": "Spinal cord and nerves",
        "eyes_ears": "Eyes and ears",
        "cavities": "Cavities and soft parts of head and trunk",
        "body": "Body regions, skin, fat",
        "lesions": "Lesions, cysts, effusions",
        "implants": "Implants and prostheses",
    }
)
#: Words of class names that are not the English word for one structure.
_WORDS = {
    "clavicula": "clavicle",
    "trunc": "trunk",
    "vertebrae": "vertebra",
}


@dataclass(frozen=True)
class Structure:
    """Something that can be segmented.

    :param id: class name of the engine, e.g. ``kidney_left``.
    :param name: name for people, e.g. ``Left kidney``.
    :param category: segmented property category.
    :param type: segmented property type.
    :param type_modifier: side, or whatever else makes the type more precise.
    :param region: anatomic region, for what is found in a place (a cyst in a kidney).
    :param region_modifier: side of the region.
    :param color: red, green, blue, 0 to 255.
    :param group: one of :data:`GROUPS`; empty for a class that the catalogue does not know.
    :param laterality: ``left``, ``right``, or empty.
    :param tasks: ids of all tasks that give it, hidden ones too.
    :param aliases: what an engine calls it where that is not the id: names by engine, the one to
        use first.
    """

    id: str
    name: str
    category: Code
    type: Code
    type_modifier: Code | None
    region: Code | None
    region_modifier: Code | None
    color: tuple[int, int, int]
    group: str = ""
    laterality: str = ""
    tasks: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def codes(self) -> tuple[Code | None, ...]:
        """Category, type, type modifier, region, region modifier."""
        return (self.category, self.type, self.type_modifier, self.region, self.region_modifier)

    def terminology_entry(self) -> str:
        """The codes as Slicer keeps them in a segment's terminology tag."""
        return terminology.serialize_entry(
            self.category, self.type, self.type_modifier, self.region, self.region_modifier
        )


def structures() -> tuple[Structure, ...]:
    """All structures of the catalogue, those of the task ``total`` first."""
    return tuple(_table().values())


def structure(id: str) -> Structure:
    """The structure of a class name, or of another engine's name for it.

    A class that the catalogue does not know, e.g. of a user's own model, gets a name made from its
    class name, the code of any anatomical structure, and a colour that is the same every time.
    """
    return _table().get(id) or _by_alias().get(id) or unlisted_structure(id)


def find_structures(query: str) -> tuple[Structure, ...]:
    """The structures whose name, class name or alias contains every word of the query, best first.

    :param query: words or parts of words in any order and case, e.g. ``kid left``.
    """
    words = query.casefold().replace("_", " ").split()
    if not words:
        return structures()
    found = [s for s in structures() if all(word in _haystack(s) for word in words)]
    # Short names first: "Liver" before "Liver segment 1".
    return tuple(sorted(found, key=lambda s: (len(s.name), s.name)))


def _haystack(structure: Structure) -> str:
    names = (structure.name, structure.id, *_alias_names(structure))
    return " ".join(names).casefold().replace("_", " ")


def unlisted_structure(id: str) -> Structure:
    """What can be said of a class from its name alone: words, side, and a fixed colour."""
    return Structure(
        id=id,
        name=_readable(id),
        category=terminology.ANATOMICAL_STRUCTURE,
        type=terminology.ANY_STRUCTURE,
        type_modifier=_SIDES.get(side(id)),
        region=None,
        region_modifier=None,
        color=_color_of_name(id),
        laterality=side(id),
    )


def side(id: str) -> str:
    """``left`` or ``right`` if the class name says so, else empty."""
    sides = [word for word in id.casefold().split("_") if word in _SIDES]
    return sides[0] if len(sides) == 1 else ""


def _readable(id: str) -> str:
    """``rib_left_1`` -> ``Left rib 1``; ``..._fdi11`` -> ``... (FDI 11)``."""
    fdi = _FDI.search(id)
    words = [_WORDS.get(word, word) for word in _FDI.sub("", id).split("_") if word]
    where = side(id)
    if where:
        words = [where, *(word for word in words if word.casefold() != where)]
    name = " ".join(words) + (f" (FDI {fdi[1]})" if fdi else "")
    return name[:1].upper() + name[1:]


def _color_of_name(id: str) -> tuple[int, int, int]:
    """A colour from a checksum of the name; both sides share a hue, the right one is darker."""
    where = side(id)
    stem = "_".join(word for word in id.split("_") if word.casefold() != where)
    hue = (zlib.crc32(stem.encode()) % 3600) / 3600
    red, green, blue = colorsys.hls_to_rgb(hue, 0.42 if where == "right" else 0.58, 0.6)
    return round(red * 255), round(green * 255), round(blue * 255)


@cache
def _table() -> dict[str, Structure]:
    with open(_TABLE, encoding="utf-8", newline="") as file:
        return {row["id"]: _from_row(row) for row in csv.DictReader(file)}


@cache
def _by_alias() -> dict[str, Structure]:
    """By the names of all engines; no name stands for two structures."""
    return {name: item for item in structures() for name in _alias_names(item)}


def _alias_names(structure: Structure) -> Iterator[str]:
    for names in structure.aliases.values():
        yield from names


def _from_row(row: dict[str, str]) -> Structure:
    def code(prefix: str) -> Code | None:
        values = [row[f"{prefix}_{part}"] for part in ("scheme", "value", "meaning")]
        return Code(*values) if values[1] else None

    return Structure(
        id=row["id"],
        name=row["name"],
        category=code("category") or terminology.ANATOMICAL_STRUCTURE,
        type=code("type") or terminology.ANY_STRUCTURE,
        type_modifier=code("type_modifier"),
        region=code("region"),
        region_modifier=code("region_modifier"),
        color=(int(row["red"]), int(row["green"]), int(row["blue"])),
        group=row["group"],
        laterality=row["laterality"],
        tasks=tuple(row["tasks"].split()),
        aliases=_aliases(row["aliases"]),
    )


def _aliases(text: str) -> dict[str, tuple[str, ...]]:
    """The names in ``nv_segment=right kidney|monai_bundle=...`` by engine."""
    aliases: dict[str, tuple[str, ...]] = {}
    for pair in text.split("|") if text else ():
        engine, _, name = pair.partition("=")
        aliases[engine] = (*aliases.get(engine, ()), name)
    return aliases
