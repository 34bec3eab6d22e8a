"""Lets a made model of the task body find the body: body-first mode needs something to crop to.

    python fit_body.py MODEL_FOLDER CT.nii.gz...

The random convolutions are made averages, so that their features are smooth. Then the last layer is
fitted by least squares, from the features at 6 mm to "in the body or not": in it is what is denser
than lung, and what that encloses in its slice. Run with the engine environment's Python.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import torch
from nnunetv2.inference import predict_from_raw_data as nnunet
from scipy import ndimage
from totalsegmentator.alignment import as_closest_canonical
from totalsegmentator.resampling import change_spacing

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TotalSegmentator"))

from TotalSegmentatorLib.engines.trainers import find_trainer

_SPACING_MM = 6.0
_TISSUE_HU = -300
_LEAST_DICE = 0.9


def main() -> None:
    """Change the model's checkpoint, and check what it finds in the same images."""
    folder, paths = Path(sys.argv[1]), sys.argv[2:]
    nnunet.recursive_find_trainer_class_by_name = find_trainer  # see official.py
    predictor = nnunet.nnUNetPredictor(device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(str(folder), (0,))
    (weights,) = predictor.list_of_parameters
    predictor.network.load_state_dict(weights)
    _smooth(predictor.network)
    predictor.list_of_parameters = [predictor.network.state_dict()]
    samples = [_sample(path, predictor) for path in paths]
    features, inside = (torch.cat(values) for values in zip(*samples, strict=True))
    solution = torch.linalg.lstsq(features, inside.double() * 2 - 1).solution
    _set_head(predictor.network.decoder.seg_layers[-1], solution.float())
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(checkpoint, weights_only=False)
    torch.save({**content, "network_weights": predictor.network.state_dict()}, checkpoint)
    for path, (seen, mask) in zip(paths, samples, strict=True):
        found = seen @ solution > 0
        dice = float(2 * (found & mask).sum() / (found.sum() + mask.sum()))
        print(f"{Path(path).name}: Dice of the body {dice:.3f}")
        if dice < _LEAST_DICE:
            raise SystemExit("The made model does not find the body.")


def _sample(path: str, predictor: nnunet.nnUNetPredictor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (voxels, channels and a one) and whether the voxels are in the body (voxels)."""
    image = as_closest_canonical(nibabel.load(path))
    image = change_spacing(image, [_SPACING_MM] * 3, order=1, dtype=np.int32)
    voxels = np.asanyarray(image.dataobj).T
    plans = predictor.plans_manager
    values = plans.foreground_intensity_properties_per_channel["0"]
    window = voxels.clip(values["percentile_00_5"], values["percentile_99_5"])
    window = torch.from_numpy(((window - values["mean"]) / values["std"]).astype(np.float32))[None]
    seen: list[torch.Tensor] = []
    layer = predictor.network.decoder.seg_layers[-1]
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    predictor.predict_logits_from_preprocessed_data(window)
    hook.remove()
    padding = [(p - n) // 2 for p, n in zip(seen[0].shape[1:], voxels.shape, strict=True)]
    box = tuple(slice(p, p + n) for p, n in zip(padding, voxels.shape, strict=True))
    features = seen[0][(slice(None), *box)].flatten(1).T.double()
    body = np.stack([ndimage.binary_fill_holes(plane > _TISSUE_HU) for plane in voxels])
    return torch.nn.functional.pad(features, (0, 1), value=1.0), torch.from_numpy(body.ravel())


def _smooth(network: torch.nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv3d):
            weight = layer.weight.data
            weight[:] = weight.mean((2, 3, 4), keepdim=True)


def _set_head(layer: torch.nn.Module, solution: torch.Tensor) -> None:
    """Background, trunk and extremities: a negative, a positive and no answer."""
    for channel, (sign, bias) in enumerate(((-1, 0.0), (1, 0.0), (0, -100.0))):
        layer.weight.data[channel] = sign * solution[:-1, None, None, None]
        layer.bias.data[channel] = sign * solution[-1] + bias


if __name__ == "__main__":
    main()
