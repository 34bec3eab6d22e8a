"""Queries that choose items, and targets that name files: also with what headers may hold."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib.dicom_workflow.queries import Item, read_query
from TotalSegmentatorLib.dicom_workflow.targets import read_target
from TotalSegmentatorLib.errors import InputError

OUTPUT = Path("results").absolute()
SEG = Item("dicomseg", {"mod": "seg", "task": "total"}, "TotalSegmentator.seg.dcm")


@pytest.mark.parametrize(
    "query",
    [
        "dicomseg",
        "DICOMSEG:mod=SEG",
        "any:mod=seg",
        "dicom|dicomseg:mod=ct|seg",
        "dicomseg:mod=*:task=body|total",
        " dicomseg:mod=seg ",
    ],
)
def test_a_query_takes_an_item(query):
    assert read_query(query).takes(SEG)


@pytest.mark.parametrize(
    "query", ["dicom", "dicom|rtstruct:mod=seg", "dicomseg:mod=ct", "dicomseg:part=*", "any:task=t"]
)
def test_a_query_leaves_an_item(query):
    assert not read_query(query).takes(SEG)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "dicom:",
        "dicom:mod",
        "dicom:mod=",
        "dicom:=ct",
        "dicom|:mod=ct",
        "dicom:mod!=ct",
        "dicom:n>3",
        "dicom:mod~=c.",
        "dicom:mod=ct AND any:part=x",
        "(dicom:mod=ct)",
        "NOT dicom:mod=ct",
    ],
)
def test_what_is_not_understood_is_refused_and_not_guessed(query):
    with pytest.raises(InputError, match="cannot be understood") as caught:
        read_query(query)
    assert caught.value.code == "input.bad_config"


def place(path: str, header: str = "1.2.3", item: Item = SEG) -> str:
    return str(read_target(f"dicomseg-->{path}", OUTPUT).place(item, lambda name: header))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("[i:sid]/TotalSegmentator.seg.dcm", "1.2.3/TotalSegmentator.seg.dcm"),
        ("[i:sid]/[d:task]-[d:mod].dcm", "1.2.3/total-seg.dcm"),
        ("[basename]", "TotalSegmentator.seg.dcm"),
        ("[path]", "TotalSegmentator.seg.dcm"),
        ("a/[filename]_x.[filext]", "a/TotalSegmentator_x.seg.dcm"),
        ("./a//b.dcm", "a/b.dcm"),
        (f"{OUTPUT}/[i:sid]/x.dcm", "1.2.3/x.dcm"),
        ("con.dcm", "_con.dcm"),
    ],
)
def test_places(path, expected):
    assert place(path) == expected


def test_random_names_differ():
    assert place("[random].dcm") != place("[random].dcm")


@pytest.mark.parametrize(
    "target",
    [
        "TotalSegmentator.seg.dcm",
        "dicomseg-->",
        "dicomseg-->../x.dcm",
        "dicomseg-->a/../../x.dcm",
        "dicomseg-->/elsewhere/x.dcm",
        f"dicomseg-->{OUTPUT}/../x.dcm",
        "dicomseg-->[x:sid]/x.dcm",
        "dicomseg-->[sid]/x.dcm",
        "dicomseg-->a\\b.dcm",
        "dicomseg-->a\0b.dcm",
        "dicomseg-->name.",
        "dicom seg-->x.dcm",
    ],
)
def test_targets_that_lead_elsewhere_or_mean_nothing_are_refused(target):
    with pytest.raises(InputError) as caught:
        read_target(target, OUTPUT)
    assert caught.value.code == "input.bad_config"


@pytest.mark.parametrize("path", ["[i:PatientID].dcm", "[d:part].dcm"])
def test_a_placeholder_without_value_is_told(path):
    with pytest.raises(InputError, match="no value for") as caught:
        place(path, header="")
    assert caught.value.code == "output.no_value"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("../../etc", "_.._etc.dcm"),
        ("..", "_.dcm"),
        ("Müller^Ana", "Müller_Ana.dcm"),
        ("a/b\\c:d", "a_b_c_d.dcm"),
        ("x" * 200, "x" * 64 + ".dcm"),
        ("a\0\n", "a__.dcm"),
        ("NUL", "_NUL.dcm"),
    ],
)
def test_values_of_headers_lead_nowhere(value, expected):
    assert place("[i:PatientID].dcm", value) == expected


@given(value=st.text(min_size=1), other=st.text(min_size=1))
def test_no_value_leaves_its_folder(value, other):
    item = Item("dicomseg", {"x": other}, "a.dcm")
    names = PurePosixPath(place("a/[i:X]/[d:x].dcm", value, item)).parts
    assert len(names) == 3
    assert not {"", ".", ".."}.intersection(names)
    assert not any(set(name) & set('/\\:*?"<>|\0') for name in names)
    assert all(len(name) <= 70 for name in names)
