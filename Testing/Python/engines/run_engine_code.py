"""Parts of the engines in the engine environment; each command prints one line of JSON.

python run_engine_code.py derived FOLDER
python run_engine_code.py threads
python run_engine_code.py options FOLDER
python run_engine_code.py weights FOLDER
"""

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib.catalog import Model
from TotalSegmentatorLib.engines import downloaded_models
from TotalSegmentatorLib.engines.contract import Reporter, Run
from TotalSegmentatorLib.engines.devices import cpu_threads
from TotalSegmentatorLib.engines.totalsegmentator import SPEC, engine
from TotalSegmentatorLib.engines.totalsegmentator.derived import write_derived
from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.images import Image, read_labelmap, write_nifti
from TotalSegmentatorLib.jobs import JobContext, Request

AFFINE = np.array([[0, -2.0, 0.2, 60], [-2, 0, 0, 90], [0.1, 0, 3, -300], [0, 0, 0, 1]])


def a_run(folder: Path, request: Request) -> Run:
    report = Reporter(SPEC, JobContext(lambda event: None))
    options = SPEC.parse_options(request.options)
    return Run(request, folder / "image.nii", folder / "labels-0.nii", report, folder, options)


def body_in_air() -> tuple[Image, Image]:
    """A trunk and an arm in air, with noise, so that the skin has holes and crumbs."""
    _, j, i = np.indices((30, 50, 60))
    labels = (((j - 25) / 15) ** 2 + ((i - 25) / 18) ** 2 < 1).astype(np.uint16)
    labels[5:25, 20:30, 50:57] = 2
    noise = np.random.default_rng(0).normal(0, 150, labels.shape)
    voxels = np.where(labels > 0, 40, -1000) + noise
    return Image(voxels.astype(np.int16), AFFINE), Image(labels, AFFINE)


def derived(folder: Path) -> dict:
    """Ours, and what the package makes of one file for each structure."""
    from totalsegmentator.libs import combine_masks
    from totalsegmentator.postprocessing import extract_skin

    image, labels = body_in_air()
    write_nifti(image, folder / "image.nii")
    masks = folder / "masks"
    masks.mkdir()
    affine = nibabel.load(folder / "image.nii").affine
    for value, name in ((1, "body_trunc"), (2, "body_extremities")):
        mask = np.equal(labels.array.T, value).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(mask, affine), masks / f"{name}.nii.gz")
    body = combine_masks(masks, "body")
    nibabel.save(body, masks / "body.nii.gz")
    skin = extract_skin(nibabel.load(folder / "image.nii"), nibabel.load(masks / "body.nii.gz"))
    official = {"body": body.get_fdata().T > 0, "skin": skin.get_fdata().T > 0}
    answer: dict = {"restricted": {}}
    for one in write_derived(a_run(folder, Request("body")), labels):
        ((value, name),) = one.label_names.items()
        ours = read_labelmap(one.labels).array
        same = np.array_equal(ours, official[name] * value)
        answer[name] = {"same": bool(same), "value": value, "beneath": one.beneath}
        answer[name]["voxels"] = int(official[name].sum())
    for names in (("skin",), ("body_trunc",)):
        made = write_derived(a_run(folder, Request("body", structures=names)), labels)
        answer["restricted"][names[0]] = [list(one.label_names.values()) for one in made]
    return answer


def threads() -> dict:
    """What the number is before, in and after a block in which a library sets its own."""
    before = torch.get_num_threads()
    with cpu_threads(before + 2):
        torch.set_num_threads(1)
        inside = torch.get_num_threads()
    after = torch.get_num_threads()
    with cpu_threads(0):
        torch.set_num_threads(before + 1)
        left = torch.get_num_threads()
    return {"before": before, "inside": inside - before, "after": after, "left": left - before}


def options(folder: Path) -> dict:
    """What a stand-in of the package's function is called with."""
    image, labels = body_in_air()
    write_nifti(image, folder / "image.nii")
    called: dict = {}

    def stand_in(path, output, **arguments):
        called.update(arguments, seen_threads=torch.get_num_threads())
        return nibabel.Nifti1Image(labels.array.T.astype(np.uint8), AFFINE)

    engine.check_models = lambda models: None
    engine.CatalogModels.check_harmless = lambda self, model: None
    engine._official_function = lambda run: stand_in
    given = {"remove_small_blobs": True, "small_blobs_mm3": 75.0, "threads": 3, "force_split": True}
    request = Request("body", "totalsegmentator", structures=("skin",), device="cpu", options=given)
    result = engine.run(a_run(folder, request))
    threads = result.provenance["threads"]
    names = [list(one.label_names.values()) for one in result.derived]
    return {**called, "provenance": threads, "own": list(result.label_names), "derived": names}


def weights(folder: Path) -> dict:
    """The errors of runs without one of two models, and with code in one of them; whether the
    package was called, or asked to download."""
    from totalsegmentator import config, libs

    image, labels = body_in_air()
    write_nifti(image, folder / "image.nii")
    request = Request("body", "totalsegmentator", device="cpu", options={"body_seg": True})
    called: list = []
    array = labels.array.T.astype(np.uint8)

    def stand_in(*_, **__):
        called.append("the package")
        return nibabel.Nifti1Image(array, AFFINE)

    engine._official_function = lambda run: stand_in
    config.get_weights_dir = lambda: folder
    libs.download_pretrained_weights = called.append

    def outcome() -> list:
        try:
            engine.run(a_run(folder, request))
        except SegmentationError as error:
            return [error.code, str(error)]
        return []

    first, second = downloaded_models(request)
    plain = {"network_weights": {}, "trainer_name": "", "init_args": {}}
    put_model(folder, first, plain)
    answer = {"missing": outcome(), "folders": [first.folder, second.folder]}
    put_model(folder, second, {**plain, "more": Path("code")})
    answer |= {"with code": outcome(), "called": list(called)}
    put_model(folder, second, plain)
    return {**answer, "whole": outcome(), "called at last": called}


def put_model(folder: Path, model: Model, checkpoint: dict) -> None:
    place = folder / model.folder / model.subfolder
    (place / "fold_0").mkdir(parents=True, exist_ok=True)
    (place / "plans.json").write_text('{"configurations": {}}')
    (place / "dataset.json").write_text('{"labels": {}}')
    torch.save(checkpoint, place / "fold_0" / "checkpoint_final.pth")


command, *folders = sys.argv[1:]
commands = {"derived": derived, "threads": threads, "options": options, "weights": weights}
answer = commands[command](*map(Path, folders))
sys.__stdout__.write(json.dumps(answer) + "\n")
