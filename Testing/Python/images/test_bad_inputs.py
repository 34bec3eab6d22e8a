"""Every bad input is refused with its code, a sentence and a remedy; nothing is silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from SampleData.bad_inputs import BAD_INPUTS, NOTICED_INPUTS, Maker

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.inputs import read_input


@pytest.mark.parametrize(("maker", "code"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_input_is_refused(
    maker: Maker, code: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = maker(tmp_path)
    with pytest.raises(InputError) as caught:
        read_input(path)
    error = caught.value
    assert error.code == code
    assert error.message.endswith(".") and error.remedy.endswith(".")
    assert str(tmp_path.parent) not in str(error)
    assert "ITK" not in str(error) and "\n" not in str(error)
    assert "itk" not in capfd.readouterr().err.lower()


@pytest.mark.parametrize(("maker", "code"), NOTICED_INPUTS.values(), ids=NOTICED_INPUTS)
def test_odd_input_is_noticed(maker: Maker, code: str, tmp_path: Path) -> None:
    image, notices = read_input(maker(tmp_path))
    assert [notice.code for notice in notices] == [code]
    assert notices[0].message.endswith(".")
    assert min(image.array.shape) >= 3


def test_messages_name_what_was_found(tmp_path: Path) -> None:
    def message(name: str) -> str:
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        with pytest.raises(InputError) as caught:
            read_input(BAD_INPUTS[name][0](folder))
        return caught.value.message

    assert "RTSTRUCT" in message("folder with RTSTRUCT only")
    assert "SEG" in message("folder with SEG only")
    assert "2 image series" in message("two series")
    assert "5 volumes" in message("NIfTI five frames")
    assert "lacks 2 slices" in message("DICOM two slices missing")
    assert "6 slices at a place" in message("DICOM two phases")
    assert "1.2.3_2.dcm" in message("DICOM slice truncated")
    assert "10 x 8 x 2" in message("two slices")
