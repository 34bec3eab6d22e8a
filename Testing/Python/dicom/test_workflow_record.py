"""``report.json``: read back as it was written, and trusted with nothing."""

from __future__ import annotations

import json

import pytest

from TotalSegmentatorLib.dicom_workflow.record import (
    DONE,
    FAILED,
    REPORT,
    Record,
    ResultRecord,
    SeriesRecord,
    load_record,
)
from TotalSegmentatorLib.errors import InputError

RESULT = ResultRecord(
    "total",
    1,
    0,
    "0f",
    ("1.2/a.seg.dcm", "1.2/a.sr.dcm"),
    ("liver",),
    ("spleen",),
    61.2,
    ({"code": "input.coarse", "message": "Coarse."},),
)
SERIES = SeriesRecord("1.2", DONE, "", "", "CT", 4, (RESULT,), ())


def written(tmp_path, values) -> None:
    (tmp_path / REPORT).write_text(json.dumps(values), "utf-8")


def test_nothing_is_an_empty_record(tmp_path):
    assert load_record(tmp_path / "none") == Record()


def test_it_comes_back_as_it_was(tmp_path):
    failed = SeriesRecord("1.3", FAILED, "input.damaged", "It is damaged.", "MR", None)
    record = Record({"1.2": SERIES, "1.3": failed}, {"SEG": 2, "": 1})
    written(tmp_path, record.to_dict())
    assert load_record(tmp_path).series == record.series


def test_its_form():
    values = Record({"1.2": SERIES}, {"SEG": 2, "": 1}).to_dict()
    assert values["schema"] == 1
    assert values["other_files"] == {"SEG": 2, "no DICOM": 1}
    (series,) = values["series"]
    assert {"uid", "state", "code", "message", "files"} <= set(series)
    assert series["files"] == ["1.2/a.seg.dcm", "1.2/a.sr.dcm"]
    assert series["results"][0]["absent"] == ("spleen",)


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {"schema": 2, "series": []},
        {"schema": 1, "series": [3]},
        {"schema": 1, "series": [{"uid": "1"}]},
        {"schema": 1, "input": {}, "structures": []},
    ],
)
def test_another_report_is_left_alone(tmp_path, values):
    written(tmp_path, values)
    with pytest.raises(InputError) as caught:
        load_record(tmp_path)
    assert caught.value.code == "output.exists"


def test_a_damaged_report_is_left_alone(tmp_path):
    (tmp_path / REPORT).write_bytes(b'{"schema": 1, "series": [\xff')
    with pytest.raises(InputError, match="none of this command"):
        load_record(tmp_path)


@pytest.mark.parametrize("name", ["../a.dcm", "/etc/passwd", "a/../../b", "", "C:\\a", "a\\..\\b"])
def test_it_names_no_file_outside_of_the_folder(tmp_path, name):
    values = json.loads(json.dumps(Record({"1.2": SERIES}).to_dict()))
    values["series"][0]["results"][0]["files"] = [name]
    written(tmp_path, values)
    with pytest.raises(InputError):
        load_record(tmp_path)


def test_a_result_is_there_with_all_its_files(tmp_path):
    assert not RESULT.is_there(tmp_path)
    (tmp_path / "1.2").mkdir()
    for name in RESULT.files:
        (tmp_path / name).write_text("")
    assert RESULT.is_there(tmp_path)
    assert ResultRecord("total", 1, 0, "0f").is_there(tmp_path)  # nothing was found
