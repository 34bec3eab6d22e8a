"""Configurations as MHub writes them, changed and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from TotalSegmentatorLib.dicom.orders import DicomOptions
from TotalSegmentatorLib.dicom_workflow.configuration import (
    DEFAULT,
    RTSTRUCT,
    SR,
    read_change,
    read_configuration,
)
from TotalSegmentatorLib.dicom_workflow.queries import Item
from TotalSegmentatorLib.errors import InputError

#: The settings of MHub's own default workflow for TotalSegmentator.
MHUB = """
general: {data_base_dir: /app/data, version: 1.0.0, description: dicom to dicom}
execute: [DicomImporter, NiftiConverter, TotalSegmentatorMLRunner, DsegConverter, DataOrganizer]
modules:
  DicomImporter:
    {source_dir: input_data, import_dir: sorted_data, sort_data: true, meta: {mod: '%Modality'}}
  TotalSegmentatorMLRunner: {use_fast_mode: true}
  DsegConverter: {model_name: TotalSegmentator, body_part_examined: WHOLEBODY,
                  source_segs: 'nifti:mod=seg', skip_empty_slices: True}
  DataOrganizer: {targets: ['dicomseg:mod=seg-->[i:sid]/TotalSegmentator.seg.dcm']}
"""


def changed(*changes: str, text: str = MHUB, writers=()):
    return read_configuration(text, dict(map(read_change, changes)), writers)


def test_the_configuration_of_mhub_works_as_it_is():
    found = changed()
    assert found.source == Path("/app/data/input_data")
    assert found.output == Path("/app/data/output_data")
    assert found.meta == {"mod": "%Modality"}
    assert (found.tasks, found.request.speed, found.inputs) == ((), "fast", None)
    assert found.kinds == ("dicomseg",)
    assert found.options == DicomOptions()
    assert found.targets == ("dicomseg:mod=seg-->[i:sid]/TotalSegmentator.seg.dcm",)


def test_ours_is_as_mhubs_at_normal_speed_with_a_place_for_all_that_can_be_written():
    ours, theirs = changed(text=DEFAULT.read_text("utf-8")), changed()
    assert (ours.source, ours.output, ours.meta) == (theirs.source, theirs.output, theirs.meta)
    assert (ours.tasks, ours.request.speed, ours.options) == ((), "normal", theirs.options)
    assert ours.targets[:1] == theirs.targets
    assert [target.partition(":")[0] for target in ours.targets] == [
        "dicomseg",
        "rtstruct",
        "dicomsr",
    ]


def test_changes_of_every_kind():
    found = changed(
        'modules.DicomImporter.meta={"mod": "MR", "part": "%BodyPartExamined"}',
        "modules.DicomImporter.source_dir=in",
        "modules.DataOrganizer.target_dir=out",
        "modules.NiftiConverter.in_datas=dicom:mod=mr",
        "modules.TotalSegmentatorMLRunner.use_fast_mode=False",
        'modules.TotalSegmentatorMLRunner.task=["total_mr", "body_mr"]',
        "modules.TotalSegmentatorMLRunner.structures=liver, spleen",
        "modules.TotalSegmentatorMLRunner.device=gpu:1",
        "modules.TotalSegmentatorMLRunner.options.threads=4",
        "modules.DsegConverter.encoding=labelmap",
        "modules.DsegConverter.empty_segments=true",
        "modules.DsegConverter.model_name=None",
        "general.data_base_dir=/data",
    )
    assert found.meta == {"mod": "MR", "part": "%BodyPartExamined"}
    assert (found.source, found.output) == (Path("/data/in"), Path("/data/out"))
    assert found.inputs.takes(Item("dicom", {"mod": "MR"}))
    assert not found.inputs.takes(Item("dicom", {"mod": "CT"}))
    assert found.tasks == ("total_mr", "body_mr")
    request = found.request
    assert (request.speed, request.device) == ("normal", "gpu:1")
    assert request.structures == ("liver", "spleen")
    assert request.options == {"threads": 4}
    assert found.options == DicomOptions(labelmap=True, empty_segments=True)


def test_a_named_speed_goes_before_mhubs_switch():
    assert changed("modules.TotalSegmentatorMLRunner.speed=normal").request.speed == "normal"


def test_settings_may_stand_in_the_list_of_modules():
    text = MHUB.replace(
        "TotalSegmentatorMLRunner, ", "{module: TotalSegmentatorMLRunner, task: body}, "
    )
    found = changed(text=text)
    assert (found.tasks, found.request.speed) == (("body",), "fast")
    later = changed("modules.TotalSegmentatorMLRunner.task=total", text=text)
    assert later.tasks == ("total",)  # changes come last


def test_further_objects_by_the_command_or_by_the_list():
    asked = changed(writers=[SR, RTSTRUCT])
    text = MHUB.replace("DsegConverter, ", "SrConverter, RTStructConverter, DsegConverter, ")
    for found in (asked, changed(text=text), changed(text=text, writers=[RTSTRUCT])):
        assert set(found.kinds) == {"dicomseg", "rtstruct", "dicomsr"}
        assert found.options == DicomOptions(structure_set=True, measurements=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modules: [", "not valid YAML (line"),
        ("- a\n- b", "no sections"),
        ("", "executes no DicomImporter and no NiftiConverter"),
        ("general: 3", "not of the right form"),
        ("generl: {}", "Did you mean general?"),
        (MHUB.replace("DsegConverter, ", ""), "executes no DsegConverter"),
        (MHUB.replace("DsegConverter, ", "DsegConvertor, "), "Did you mean DsegConverter or"),
        (MHUB.replace("DsegConverter, ", "[DsegConverter], "), "unknown module"),
        (MHUB.replace("DsegConverter, ", "DsegConverter, DsegConverter, "), "in this order"),
        (MHUB.replace("[DicomImporter, Ni", "[NiftiConverter, DicomImporter, Ni"), "in this order"),
        (MHUB.replace("  DsegConverter:", "  DsegConvertor:"), "Did you mean DsegConverter or"),
        (MHUB.replace("use_fast_mode", "use_fats_mode"), "Did you mean use_fast_mode?"),
        (MHUB.replace("use_fast_mode: true", "use_fast_mode: 3"), "must be true or false"),
        (MHUB.replace("data_base_dir: /app/data", "data_base_dir: [1]"), "must be a text"),
        (MHUB.replace("meta: {mod: '%Modality'}", "meta: x"), "must be names with values"),
        (MHUB.replace("meta: {mod: '%Modality'}", "meta: {mod: 3}"), "must be names with texts"),
        (MHUB.replace("targets: [", "targets: [3, "), "must be a list of texts"),
        (MHUB.replace("{use_fast_mode: true}", "fast"), "not of the right form"),
        (MHUB.replace("{use_fast_mode: true}", "{task: []}"), "must be a list of texts"),
        (MHUB + "\n" + "#" * (1 << 20), "too long"),
        ("a: &a [x, x]\nb: *c", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, said):
    with pytest.raises(InputError) as caught:
        changed(text=text)
    assert caught.value.code == "input.bad_config"
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("modules.DsegConverter.encoding=jpeg", "must be bitmap or labelmap"),
        ("modules.DsegConverter.encodin=labelmap", "Did you mean encoding?"),
        ("modules.DsegConverter=3", "not of the right form"),
        ("modules.NiftiConverter.in_datas=dicom:mod", "cannot be understood"),
        ("module.DsegConverter.deflate=true", "names nothing"),
        ("modules.DsegConverter.deflate.x.y=true", "names nothing"),
        ("deflate", "sets nothing"),
        ("modules..x=3", "sets nothing"),
    ],
)
def test_changes_are_checked_as_the_file_is(change, said):
    with pytest.raises(InputError) as caught:
        changed("modules.DsegConverter.deflate=true", change)
    assert caught.value.code == "input.bad_config"
    assert said in str(caught.value)


def test_a_labelmap_is_not_deflated():
    with pytest.raises(InputError, match="cannot be deflated"):
        changed("modules.DsegConverter.deflate=true", "modules.DsegConverter.encoding=labelmap")


def test_yaml_runs_no_code(tmp_path):
    file = tmp_path / "made"
    text = f"general: !!python/object/apply:pathlib.Path.touch [!!python/name:x '{file}']"
    with pytest.raises(InputError, match="not valid YAML"):
        changed(text=text)
    command = f"!!python/object/apply:os.system ['touch {file}']"
    with pytest.raises(InputError, match="not valid YAML"):
        changed(text=MHUB.replace("version: 1.0.0", f"version: {command}"))
    assert not file.exists()
