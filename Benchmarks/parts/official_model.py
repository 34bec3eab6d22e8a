"""nnU-Net's own way with a model folder: no mirroring, windows half a patch apart.

python official_model.py IMAGE LABELS MODEL_FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from nnunetv2.inference import predict_from_raw_data as nnunet

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "TotalSegmentator"))


def main() -> None:
    """Run it."""
    image, labels, folder = sys.argv[1:]
    os.dup2(2, 1)  # standard output is nobody's
    from TotalSegmentatorLib.engines.trainers import find_trainer

    nnunet.recursive_find_trainer_class_by_name = find_trainer  # see official.py
    torch.set_num_threads(os.cpu_count() or 1)
    predictor = nnunet.nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(folder, None)
    predictor.predict_from_files([[image]], [labels.removesuffix(".nii.gz")])


if __name__ == "__main__":
    main()
