"""The catalogue's structures: the master table is complete, unambiguous and says what is meant."""

from __future__ import annotations

import copy
import csv
import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Code, Structure
from TotalSegmentatorLib.catalog.structures import GROUPS, side

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "Tools"))

from structure_colors import (  # noqa: E402
    MINIMUM_COLOR_DISTANCE,
    color_distance,
    color_of_rule,
    distinct_color,
)

INPUTS = REPOSITORY / "Tools" / "catalog_inputs"
GENERIC = "91723000"
LEFT, RIGHT = "7771000", "24028007"
OTHER = {"left": "right", "right": "left"}


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = {row["id"]: row for row in read(Path(catalog.__path__[0]) / "data" / "structures.csv")}
ALL = catalog.structures()
BY_TASK = {task: [s for s in ALL if task in s.tasks] for s in ALL for task in s.tasks}
NV_LABELS = read(INPUTS / "nv_segment_labels.csv")
NV_SETS = {"nv_ct_body": 117, "nv_mri_body": 50, "nv_mri_brain": 132}


def values(structure: Structure) -> tuple[object, ...]:
    """The codes without their meanings, which do not make them differ."""
    return tuple((code.scheme, code.value) if code else None for code in structure.codes)


def all_codes(structure: Structure) -> list[Code]:
    return [code for code in structure.codes if code]


# The table as a whole


def test_every_class_of_every_offered_task_says_that_the_task_gives_it() -> None:
    for task in catalog.tasks():
        assert {s.id for s in BY_TASK[task.id]} == set(task.labels.values())


def test_number_of_tasks_and_classes() -> None:
    others = {"demo", "wholebody_ct", "nv_segment", *NV_SETS}
    official = BY_TASK.keys() - others
    assert others <= BY_TASK.keys()
    # TotalSegmentator 2.18: all label maps, with those of helpers, tests and older models.
    assert len(official) == 59
    assert sum(len(BY_TASK[task]) for task in official) == 855
    assert len({s.id for task in official for s in BY_TASK[task]}) == 428
    assert {"total_v1", "test", "covid", "kidney_cysts_auxiliary"} <= official
    assert {s.id for s in ALL if not s.tasks} == {"body"}  # made from trunk and extremities


def test_classes_of_the_whole_body_bundle() -> None:
    labels = read(INPUTS / "wholebody_ct_labels.csv")
    assert [int(row["label"]) for row in labels] == list(range(1, 105))
    assert {row["name"] for row in labels} == {s.id for s in BY_TASK["wholebody_ct"]}


def test_every_label_of_the_foundation_model_has_a_structure() -> None:
    assert [int(row["label"]) for row in NV_LABELS] == list(range(1, 346))
    found = {row["name"]: catalog.structure(row["name"]) for row in NV_LABELS}
    assert len(found) == 345
    for name, structure in found.items():
        assert structure.id in ROWS and "nv_segment" in structure.tasks
        assert name in (structure.id, *structure.aliases.get("nv_segment", ()))


@pytest.mark.parametrize("task", NV_SETS)
def test_sets_of_the_foundation_model(task: str) -> None:
    names = [row["name"] for row in NV_LABELS if row[task]]
    assert len(names) == NV_SETS[task]
    # Every label of a set is a structure of its own.
    ids = {catalog.structure(name).id for name in names}
    assert ids == set(catalog.task(task).default_labels.values()) <= {s.id for s in BY_TASK[task]}
    assert len(ids) == NV_SETS[task]


def test_ids_names_and_aliases_stand_for_one_structure_each() -> None:
    assert len({s.id for s in ALL}) == len({s.name for s in ALL}) == len(ALL) == len(ROWS)
    aliases = [name for s in ALL for names in s.aliases.values() for name in names]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & ROWS.keys()
    assert {engine for s in ALL for engine in s.aliases} <= {"monai_bundle", "nv_segment"}


def test_names_are_for_people() -> None:
    for structure in ALL:
        name = structure.name
        assert name[0].isupper() or name[0].isdigit()
        assert "_" not in name and name == " ".join(name.split()) and "deprecated" not in name
        assert not set(name) & set('"~^|')  # they end strings of Slicer


def test_groups() -> None:
    assert {s.group for s in ALL} == GROUPS.keys()
    groups = {id: catalog.structure(id).group for id in ("vertebrae_L1", "aorta", "rib_left_1")}
    assert groups == {"vertebrae_L1": "spine", "aorta": "vessels", "rib_left_1": "skeleton"}


# Codes


@pytest.mark.parametrize("task", sorted(BY_TASK))
def test_task_is_complete(task: str) -> None:
    members = BY_TASK[task]
    assert len({values(s) for s in members}) == len(members)
    for structure in members:
        assert structure.category.value and structure.type.value
        if structure.type.value == GENERIC:
            assert ROWS[structure.id]["uncertain"], structure.id
    for one, other in itertools.combinations(members, 2):
        distance = color_distance(one.color, other.color)
        assert distance >= MINIMUM_COLOR_DISTANCE, (one.id, other.id, distance)


def test_every_row_says_where_its_codes_come_from() -> None:
    assert [id for id, row in ROWS.items() if not row["source"]] == []


def test_same_code_has_the_same_meaning_everywhere() -> None:
    # Slicer spells some codes differently as a type and as a region.
    for kinds in (("category",), ("type",), ("type_modifier", "region_modifier"), ("region",)):
        meanings: dict[tuple[str, str], set[str]] = {}
        for structure in ALL:
            for code in (getattr(structure, kind) for kind in kinds):
                if code:
                    meanings.setdefault((code.scheme, code.value), set()).add(code.meaning)
        assert {key: words for key, words in meanings.items() if len(words) > 1} == {}


def test_codes_are_what_dicom_and_slicer_can_store() -> None:
    for structure in ALL:
        for code in all_codes(structure):
            assert code.scheme in {"SCT", "DCM", "UMLS", "NEU", "99TSEG"}, code
            assert 0 < len(code.scheme) <= 16 and 0 < len(code.value) <= 16  # SH
            assert 0 < len(code.meaning) <= 64 and code.meaning == code.meaning.strip()  # LO
            assert not set("".join((code.scheme, code.value, code.meaning))) & set("~^|\\")


def test_private_codes_are_told_to_be_uncertain() -> None:
    for structure in ALL:
        private = [code for code in all_codes(structure) if code.scheme == "99TSEG"]
        assert not private or ROWS[structure.id]["uncertain"], structure.id
        assert all(code.scheme != "99TSEG" for code in (structure.category, structure.type))


def check_digit_is_right(number: str) -> bool:
    """The last digit of a SNOMED CT identifier (Verhoeff 1969: the dihedral group of order 10)."""

    def times(a: int, b: int) -> int:
        turned = (a + b) % 5 if a < 5 else (a - b) % 5
        return turned + 5 * ((a < 5) != (b < 5))

    permuted = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for position, digit in enumerate(map(int, reversed(number))):
        for _ in range(position % 8):
            digit = permuted[digit]
        check = times(check, digit)
    return check == 0


def test_snomed_codes_have_the_right_check_digit() -> None:
    assert check_digit_is_right("64033007") and not check_digit_is_right("64033008")
    wrong = {
        (structure.id, code.value)
        for structure in ALL
        for code in all_codes(structure)
        if code.scheme == "SCT" and not check_digit_is_right(code.value)
    }
    assert wrong == set()


@pytest.mark.parametrize("structure", ALL, ids=lambda s: s.id)
def test_side_of_the_codes_is_the_side_of_the_class(structure: Structure) -> None:
    where = structure.laterality
    assert where == side(structure.id)
    coded = {
        modifier.value
        for modifier in (structure.type_modifier, structure.region_modifier)
        if modifier and modifier.value in (LEFT, RIGHT)
    }
    regions = structure.region.meaning if structure.region else ""
    meanings = f"{structure.type.meaning} {regions}".casefold().split()
    words = structure.name.casefold().split()
    if where:
        assert where in words
        assert OTHER[where] not in words + meanings
        # Some concepts have a side of their own: "left atrium".
        assert coded == {LEFT if where == "left" else RIGHT} or (not coded and where in meanings)
    else:
        assert not coded


@pytest.mark.parametrize(
    ("id", "type_", "modifier", "region"),
    [
        ("subclavian_artery_left", "36765005", LEFT, None),  # was the right one, for both sides
        ("subclavian_artery_right", "36765005", RIGHT, None),
        ("gluteus_maximus_left", "206007", LEFT, None),  # was "Entire gluteus maximus"
        ("parotid_gland_left", "45289007", LEFT, None),  # had no side
        ("quadriceps_femoris_right", "21989003", RIGHT, None),
        ("eye_left", "81745001", LEFT, None),  # was "Left eye", without a modifier
        ("eye_lens_right", "78076003", RIGHT, None),
        ("auditory_canal_left", "84301002", LEFT, None),
        ("phalanges_hand", "28641004", None, "85562004"),  # both had the same codes
        ("phalanges_feet", "28641004", None, "56459004"),
        ("teeth_upper", "38199008", None, "70925003"),
        ("teeth_lower", "38199008", None, "91609006"),
        ("upper_right_canine_fdi13", "860767006", None, None),  # was a deciduous molar
        ("lower_right_canine_fdi43", "860785004", None, None),
        ("psoas_major_left", "57240007", LEFT, None),  # was a lymph node
        ("rectus_abdominis_left", "31243008", LEFT, None),  # numbers that SNOMED CT never issued
        ("pectoralis_major_right", "60005003", RIGHT, None),
        ("latissimus_dorsi_right", "15665001", RIGHT, None),
        ("ventricle_trigone_left", "217", LEFT, None),
        ("aorta_true_lumen", "122360", None, "15825003"),
        ("renal_arteries", "2841007", None, None),
        ("vertebrae_L6", "1156198008", None, None),
        ("kidney_cyst_left", "367643001", None, "64033007"),
    ],
)
def test_known_mistakes_of_other_tables_are_corrected(
    id: str, type_: str, modifier: str | None, region: str | None
) -> None:
    found = catalog.structure(id)
    assert found.type.value == type_
    assert (found.type_modifier and found.type_modifier.value) == modifier
    assert (found.region and found.region.value) == region


def test_what_is_no_anatomy_is_not_called_so() -> None:
    physical = {s.id for s in ALL if s.category.value == "260787004"}
    assert physical == {"hip_implant", "bridge", "crown", "implant"}
    assert {s.group for s in ALL if s.id in physical} == {"implants"}
    altered = {s.group for s in ALL if s.category.value == "49755003"}
    assert altered <= {"lesions", "vessels"}


def test_teeth_and_pulps_of_all_quadrants_are_told_apart() -> None:
    teeth = [s for s in BY_TASK["teeth"] if "_fdi" in s.id and "canal" not in s.id]
    pulps = [s for s in teeth if "pulp" in s.id]
    assert (len(teeth), len(pulps)) == (64, 32)
    assert len({s.type.value for s in teeth}) == 32
    for pulp in pulps:
        tooth = catalog.structure(pulp.id.replace("_pulp_fdi1", "_fdi"))
        assert pulp.type == tooth.type and pulp.type_modifier and not tooth.type_modifier
        jaw = "maxillary" if "upper" in tooth.id else "mandibular"
        assert f"{jaw} {tooth.laterality}" in tooth.type.meaning.casefold()


# Colours


def test_color_distance_is_that_of_the_textbooks() -> None:
    # CIELAB of sRGB red, green and blue under D65: (53.24, 80.09, 67.20), (87.73, -86.18, 83.18),
    # (32.30, 79.19, -107.86).
    assert color_distance((255, 0, 0), (0, 255, 0)) == pytest.approx(170.6, abs=0.2)
    assert color_distance((255, 0, 0), (0, 0, 255)) == pytest.approx(176.3, abs=0.2)
    assert color_distance((255, 255, 255), (0, 0, 0)) == pytest.approx(100.0, abs=0.1)


def test_colors_can_be_shown() -> None:
    assert all(0 <= channel <= 255 for s in ALL for channel in s.color)
    # Slicer takes this grey for "no colour".
    assert (127, 127, 127) not in {s.color for s in ALL}


colors = st.tuples(*[st.integers(0, 255)] * 3)


@given(colors, st.lists(colors, max_size=20))
def test_made_color_differs_from_all_others(wanted, others) -> None:
    made = distinct_color(wanted, others)
    assert all(color_distance(made, other) >= MINIMUM_COLOR_DISTANCE for other in others)
    assert made == distinct_color(wanted, others)
    if all(color_distance(wanted, other) >= MINIMUM_COLOR_DISTANCE for other in others):
        assert made == wanted


@pytest.mark.parametrize("group", GROUPS)
def test_color_rule_knows_every_group(group: str) -> None:
    left = {"id": "thing_left", "name": "Left thing", "group": group, "laterality": "left"}
    right = {"id": "thing_right", "name": "Right thing", "group": group, "laterality": "right"}
    assert sum(color_of_rule(left)) > sum(color_of_rule(right))


def test_veins_are_blue_and_arteries_red() -> None:
    row = {"id": "a_vein", "name": "A vein", "group": "vessels", "laterality": ""}
    red, _, blue = color_of_rule(row)
    assert blue > red
    red, _, blue = color_of_rule(row | {"id": "an_artery", "name": "An artery"})
    assert red > blue


# Look-ups


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
        ("liver_segment_4", "Liver segment IV"),
    ],
)
def test_names(id: str, name: str) -> None:
    assert catalog.structure(id).name == name


def test_structure_by_the_name_of_another_engine() -> None:
    kidney = catalog.structure("right kidney")
    assert kidney == catalog.structure("kidney_right")
    assert kidney.aliases == {"nv_segment": ("right kidney",)}
    assert {"total", "wholebody_ct", "nv_ct_body", "nv_mri_body"} <= set(kidney.tasks)
    assert catalog.structure("bladder").id == "urinary_bladder"


def test_structures_are_values() -> None:
    kidney = catalog.structure("kidney_right")
    assert copy.deepcopy(kidney) == kidney
    assert len({kidney, copy.deepcopy(kidney)}) == 1


def test_class_that_is_not_listed() -> None:
    left = catalog.structure("my_organ_left")
    assert left.name == "Left my organ"
    assert (left.category.value, left.type.value) == ("123037004", GENERIC)
    assert left.type_modifier and left.type_modifier.value == LEFT
    assert (left.group, left.laterality, left.tasks, left.aliases) == ("", "left", (), {})
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
    # The foundation model's word for it.
    assert "portal_vein_and_splenic_vein" in {s.id for s in catalog.find_structures("splenic")}
    assert "iliac_vena_left" in {s.id for s in catalog.find_structures("left iliac vena")}
    assert catalog.find_structures("xyzzy") == ()
    assert set(catalog.find_structures("")) == set(ALL)
