"""A licence number is passed on without anybody else seeing it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment import (
    EngineEnvironment,
    check_licence,
    licence,
    store_licence,
)
from TotalSegmentatorLib.errors import SetupError

NUMBER = "aca_0123456789ABCD"


def stand_in(folder: Path, status: int) -> EngineEnvironment:
    """An interpreter that notes how it is called, repeats the number, and ends with a status."""
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\necho "$@" > {folder}/arguments\nenv > {folder}/variables\n'
        f"cat > {folder}/input\ncat {folder}/input\ncat {folder}/input >&2\nexit {status}\n"
    )
    python.chmod(0o755)
    return EngineEnvironment(python)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script as interpreter")
@pytest.mark.parametrize("status", [0, 1])
def test_number_goes_through_standard_input_only(status, tmp_path, capfd):
    engine = stand_in(tmp_path, status)
    if status:
        with pytest.raises(SetupError) as caught:
            store_licence(engine, f" {NUMBER}\n")
        assert caught.value.code == "licence.invalid"
        assert NUMBER not in repr(caught.value.to_dict())
    else:
        store_licence(engine, f" {NUMBER}\n")
    assert (tmp_path / "input").read_text() == f"{NUMBER}\n"
    for place in ("arguments", "variables"):
        assert NUMBER not in (tmp_path / place).read_text()
    assert NUMBER not in "".join(capfd.readouterr())


@pytest.mark.parametrize("guarded", [True, False], ids=["3.11 and later", "3.10"])
def test_what_lies_in_the_current_folder_is_not_run(guarded, tmp_path, monkeypatch):
    """``python -c`` imports from where it is started."""
    (tmp_path / "totalsegmentator").mkdir()
    planted = "open('run', 'w')"
    (tmp_path / "totalsegmentator" / "__init__.py").write_text(planted)
    monkeypatch.chdir(tmp_path)
    if not guarded:  # what an older Python makes of the variable
        variables = licence.clean_variables() | {"PYTHONSAFEPATH": ""}
        monkeypatch.setattr(licence, "clean_variables", lambda _: variables)
    with pytest.raises(SetupError) as caught:  # this interpreter has no such package
        store_licence(EngineEnvironment(Path(sys.executable)), NUMBER)
    assert caught.value.code == "licence.invalid"
    assert not list(tmp_path.rglob("run"))


def test_the_remedy_is_true_for_every_face(tmp_path):
    with pytest.raises(SetupError) as caught:
        check_licence(["Face"], {"TOTALSEG_HOME_DIR": str(tmp_path)})
    assert caught.value.code == "licence.missing"
    assert "(" not in caught.value.remedy.replace("(free for non-commercial use)", "")


def test_missing_interpreter_is_one_sentence(tmp_path):
    with pytest.raises(SetupError) as caught:
        store_licence(EngineEnvironment(tmp_path / "python"), NUMBER)
    assert caught.value.code == "licence.not_stored"
    assert NUMBER not in str(caught.value)
