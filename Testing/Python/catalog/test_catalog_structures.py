"""The catalogue's structures: names, codes and colours."""

from __future__ import annotations

import itertools
import math

import pytest

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog.structures import side

TOTAL = [catalog.structure(id) for id in catalog.task("total").labels.values()]
GENERIC = "91723000"
LEFT, RIGHT = "7771000", "24028007"


def test_every_class_of_every_task_is_listed() -> None:
    listed = {structure.id for structure in catalog.structures()}
    assert len(listed) == len(catalog.structures()) == 428
    assert {id for task in catalog.tasks() for id in task.labels.values()} <= listed


def test_total_is_complete() -> None:
    assert len(TOTAL) == 117
    assert all(structure.type.value != GENERIC for structure in TOTAL)
    assert len({structure.codes for structure in TOTAL}) == 117
    assert len({structure.name for structure in TOTAL}) == 117
    # Meanings do not make codes differ.
    values = {tuple((c.scheme, c.value) if c else None for c in s.codes) for s in TOTAL}
    assert len(values) == 117


@pytest.mark.parametrize("task", ["total", "total_mr"])
def test_no_generic_code_in_the_main_tasks(task: str) -> None:
    found = [catalog.structure(id) for id in catalog.task(task).labels.values()]
    assert [structure.id for structure in found if structure.type.value == GENERIC] == []


def test_names_are_unique_and_for_people() -> None:
    names = [structure.name for structure in catalog.structures()]
    assert len(set(names)) == len(names)
    assert all(name[0].isupper() or name[0].isdigit() for name in names)
    assert not any("_" in name or name != name.strip() for name in names)


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("kidney_left", "Left kidney"),
        ("vertebrae_L1", "Vertebra L1"),
        ("rib_right_1", "Right rib 1"),
        ("iliac_vena_left", "Left iliac vein"),
        ("superior_vena_cava", "Superior vena cava"),
        ("clavicula_right", "Right clavicle"),
        ("upper_right_canine_fdi13", "Right upper canine (FDI 13)"),
    ],
)
def test_names(id: str, name: str) -> None:
    assert catalog.structure(id).name == name


@pytest.mark.parametrize("structure", catalog.structures(), ids=lambda s: s.id)
def test_side_of_the_codes_is_the_side_of_the_class(structure: catalog.Structure) -> None:
    where = side(structure.id)
    coded = {
        modifier.value
        for modifier in (structure.type_modifier, structure.region_modifier)
        if modifier and modifier.value in (LEFT, RIGHT)
    }
    words = f"{structure.name} {structure.type.meaning}".casefold().split()
    other = {"left": "right", "right": "left"}.get(where)
    if where:
        assert where in words and other not in words
        # Some concepts have a side of their own: "left atrium".
        assert coded == {LEFT if where == "left" else RIGHT} or (
            not coded and where in structure.type.meaning.casefold()
        )
    else:
        assert not coded


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("subclavian_artery_left", "36765005"),
        ("subclavian_artery_right", "36765005"),
        ("gluteus_maximus_left", "206007"),
        ("gluteus_maximus_right", "206007"),
    ],
)
def test_known_mistakes_of_the_source_are_corrected(id: str, value: str) -> None:
    assert catalog.structure(id).type.value == value


def test_same_code_has_the_same_meaning_everywhere() -> None:
    meanings: dict[tuple[str, str], set[str]] = {}
    for structure in catalog.structures():
        for code in filter(None, structure.codes):
            assert code.scheme and code.value.isdigit() and code.meaning
            meanings.setdefault((code.scheme, code.value), set()).add(code.meaning)
    assert {key: words for key, words in meanings.items() if len(words) > 1} == {}


def test_colors_can_be_told_apart() -> None:
    colors = [structure.color for structure in catalog.structures()]
    assert all(0 <= channel <= 255 for color in colors for channel in color)
    assert min(math.dist(*pair) for pair in itertools.combinations(colors, 2)) >= 12
    # Slicer takes this grey for "no colour".
    assert (127, 127, 127) not in colors


def test_class_that_is_not_listed() -> None:
    left = catalog.structure("my_organ_left")
    assert left.name == "Left my organ"
    assert (left.category.value, left.type.value) == ("123037004", GENERIC)
    assert left.type_modifier and left.type_modifier.value == LEFT
    assert left == catalog.structure("my_organ_left")
    assert left.color != catalog.structure("my_organ_right").color != (127, 127, 127)
    assert catalog.structure("").name == ""


def test_find_structures() -> None:
    assert [s.id for s in catalog.find_structures("KID left")] == [
        "kidney_left",
        "kidney_cyst_left",
    ]
    assert catalog.find_structures("liver")[0].id == "liver"
    assert "vertebrae_L1" in {s.id for s in catalog.find_structures("vertebra l")}
    assert catalog.find_structures("xyzzy") == ()
