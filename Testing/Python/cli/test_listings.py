"""The listings, for people and for programs."""

from __future__ import annotations

import json

import pytest

from TotalSegmentatorLib import __version__, catalog, engines


def test_version_and_help(call):
    assert call("--version").out.strip() == __version__
    answer = call("--help")
    assert answer.code == 0
    for command in ("segment", "demo", "tasks", "structures", "setup"):
        assert command in answer.out


def test_help_of_segment_shows_examples_and_every_engine_option(call):
    text = call("segment", "--help").out
    assert "Examples" in text
    for spec in engines.specs().values():
        for option in spec.options:
            assert "--" + option.name.replace("_", "-") in text
    assert "Options for model folders, engine nnunet" in text


def test_tasks(call):
    listed = json.loads(call("tasks", "--json").out)
    total = next(task for task in listed if task["id"] == "total")
    assert len(total["labels"]) == 117
    assert total["speeds"] == ["normal", "fast", "fastest"]
    assert total["engine"] == "nnunet" and total["engines"] == ["nnunet", "totalsegmentator"]
    assert {task["id"] for task in listed} == {t.id for t in catalog.tasks() if not t.hidden}
    assert "Whole body (CT)" in call("tasks").out


def test_tasks_of_other_engines(call):
    listed = {task["id"]: task for task in json.loads(call("tasks", "--json").out)}
    assert (listed["total"]["family"], listed["total"]["terms"]) == ("", "")
    nv = listed["nv_ct_body"]
    assert (nv["family"], nv["terms"]) == ("NV-Segment-CTMR", "nv-segment-ctmr")
    assert nv["engines"] == ["nv_segment"] and set(nv["on_request"]) < set(nv["labels"].values())
    lines = call("tasks").out.splitlines()
    (place,) = (n for n, line in enumerate(lines) if line.startswith("NV-Segment-CTMR"))
    assert "engine nv_segment" in lines[place]
    assert not any("nv_ct_body" in line for line in lines[:place])
    (row,) = (line for line in lines if " nv_ct_body " in line)
    words = ("CT ", "normal 1.5 mm 872 MB", " 117 ", f" {len(nv['on_request'])} ", "non-commercial")
    assert all(word in row for word in words)
    (row,) = (line for line in lines if " wholebody_ct " in line)
    assert "normal 1.5 mm 75 MB, fast 3 mm 75 MB" in row and "Apache-2.0" in row
    (row,) = (line for line in lines if " face " in line)
    assert "number needed" in row


def test_structures(call):
    (left,) = (
        s
        for s in json.loads(call("structures", "kidney", "--json").out)
        if s["id"] == "kidney_left"
    )
    assert left["name"] == "Left kidney"
    assert left["type"]["value"] == "64033007"
    assert left["type_modifier"]["meaning"] == "Left"
    assert "total" in left["tasks"]
    assert "kidney_left" in call("structures", "kidney").out


def test_no_structure_is_an_error(call):
    answer = call("structures", "xyzzy")
    assert answer.code == 2
    assert "xyzzy" in answer.err


@pytest.mark.parametrize("arguments", [["nonsense"], ["segment"], ["tasks", "--nonsense"]])
def test_wrong_usage(call, arguments):
    answer = call(*arguments)
    assert answer.code == 2
    assert answer.out == ""


def test_structures_as_json_have_a_fixed_form(call):
    listed = json.loads(call("structures", "--json").out)
    assert [s["id"] for s in listed[:2]] == ["spleen", "kidney_right"]  # the catalogue's order
    codes = ("category", "type", "type_modifier", "region", "region_modifier")
    for structure in listed:
        assert set(structure) == {"id", "name", *codes, "color", "group", "laterality", "tasks"}
        for code in codes:
            assert structure[code] is None or set(structure[code]) == {"scheme", "value", "meaning"}
        assert structure["category"] and structure["type"]
        # The body is made of its parts; no model finds it by itself.
        assert structure["tasks"] or structure["id"] == "body"
        assert all(isinstance(c, int) and 0 <= c <= 255 for c in structure["color"])


def test_groups(call):
    listed = json.loads(call("structures", "rib", "--groups", "--json").out)
    ribs = next(group for group in listed if group["id"] == "ribs")
    assert len(ribs["structures"]["CT"]) == 24
    assert "lungs" in call("structures", "--groups").out
