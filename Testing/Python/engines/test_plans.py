"""Reading nnU-Net's plans: what is understood, and what is left to the official packages."""

from __future__ import annotations

import copy
import json
import sys

import pytest

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.nnunet.model_folder import ModelFolder
from TotalSegmentatorLib.engines.nnunet.plans import NotCovered, check_trainer, read_plans

DEMO = catalog.task("demo").model_path
NAME = "3d_fullres"


@pytest.fixture
def plans() -> dict:
    return json.loads((DEMO / "plans.json").read_text("utf-8"))


@pytest.fixture
def dataset() -> dict:
    return json.loads((DEMO / "dataset.json").read_text("utf-8"))


def test_the_demo_model_is_understood(plans, dataset):
    read = read_plans(plans, dataset, NAME)
    assert list(read.patch) == plans["configurations"][NAME]["patch_size"]
    assert read.heads.count == len(dataset["labels"]) and not read.heads.regions
    assert read.network == "PlainConvUNet" and "conv_op" in read.classes
    assert "torch" not in sys.modules


def test_settings_are_inherited(plans, dataset):
    plans["configurations"]["other"] = {"inherits_from": NAME, "patch_size": [32, 48, 64]}
    plans["configurations"]["third"] = {"inherits_from": "other", "spacing": [3, 2, 1]}
    read = read_plans(plans, dataset, "third")
    assert (read.patch, read.spacing) == ((32, 48, 64), (3.0, 2.0, 1.0))
    assert read.normalisation == read_plans(plans, dataset, NAME).normalisation


def test_plans_before_and_after_the_change_of_their_form_are_the_same(plans, dataset):
    former = copy.deepcopy(plans)
    values = former["configurations"][NAME]
    given = values.pop("architecture")["arch_kwargs"]
    values.update(
        UNet_class_name="PlainConvUNet",
        UNet_base_num_features=given["features_per_stage"][0],
        unet_max_num_features=max(given["features_per_stage"]),
        n_conv_per_stage_encoder=given["n_conv_per_stage"],
        n_conv_per_stage_decoder=given["n_conv_per_stage_decoder"],
        pool_op_kernel_sizes=given["strides"],
        conv_kernel_sizes=given["kernel_sizes"],
    )
    one, other = (read_plans(p, dataset, NAME) for p in (plans, former))
    assert (one.network, one.patch, one.data) == (other.network, other.patch, other.data)
    for name in ("n_stages", "features_per_stage", "strides", "kernel_sizes", "norm_op_kwargs"):
        assert one.arguments[name] == other.arguments[name]


def test_regions_have_the_values_that_they_are_painted_with(plans, dataset):
    dataset["labels"] = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    dataset["regions_class_order"] = [1, 2]
    heads = read_plans(plans, dataset, NAME).heads
    assert (heads.count, heads.regions) == (2, (1, 2))
    assert ModelFolder(DEMO, plans, dataset, ("0",)).label_names == {1: "whole", 2: "core"}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("normalization_schemes", ["RGBTo01Normalization"], "RGBTo01Normalization"),
        ("preprocessor_name", "MyPreprocessor", "MyPreprocessor"),
        ("resampling_fn_data", "resample_torch_fornnunet", "resample_torch_fornnunet"),
        ("previous_stage", "3d_lowres", "cascade"),
        ("patch_size", [64, 64], "single slices"),
        ("normalization_schemes", [], "unknown form"),
        ("spacing", None, "unknown form"),
    ],
)
def test_what_is_not_covered_is_said(plans, dataset, key, value, reason):
    plans["configurations"][NAME][key] = value
    with pytest.raises(NotCovered, match=reason):
        read_plans(plans, dataset, NAME)


@pytest.mark.parametrize(
    "path",
    ["subprocess.Popen", "torch.nn.Conv2d", "torch.nn.Module", "torch.hub.load", "os.LeakyReLU"],
)
def test_layers_are_known_ones(plans, dataset, path):
    arguments = plans["configurations"][NAME]["architecture"]["arch_kwargs"]
    arguments["nonlin"] = path
    with pytest.raises(NotCovered, match=f"the layer {path}"):
        read_plans(plans, dataset, NAME)


def test_intensities_count_only_where_they_are_used(plans, dataset):
    values = plans["configurations"][NAME]
    for scheme, used in (("CTNormalization", True), ("ZScoreNormalization", False)):
        values["normalization_schemes"] = [scheme]
        assert bool(read_plans(plans, dataset, NAME).normalisation.intensities) == used


def test_several_channels_and_other_readers_are_not_covered(plans, dataset):
    with pytest.raises(NotCovered, match="several input images"):
        read_plans(plans, {**dataset, "channel_names": {"0": "CT", "1": "PET"}}, NAME)
    with pytest.raises(NotCovered, match="NaturalImage2DIO"):
        read_plans({**plans, "image_reader_writer": "NaturalImage2DIO"}, dataset, NAME)


def test_all_trainers_of_the_catalogue_are_covered():
    for task in (task for task in catalog.tasks() if "nnunet" in task.engines):
        for models in task.speeds.values():
            for model in models:
                check_trainer(model.trainer)


@pytest.mark.parametrize("name", ["nnUNetTrainerBN", "nnUNetTrainerUMambaBot", "MyTrainer", ""])
def test_trainers_that_build_other_networks_are_not(name):
    with pytest.raises(NotCovered, match="the trainer"):
        check_trainer(name)
