"""Grids at the spacing of a model."""

from __future__ import annotations

import numpy as np
import pytest

from TotalSegmentatorLib.engines.nnunet.geometry import Volume
from TotalSegmentatorLib.engines.nnunet.resampling import grid_at, shape_at
from TotalSegmentatorLib.errors import InputError


def test_an_image_of_which_no_voxel_is_left_is_too_small():
    volume = Volume(np.zeros((40, 40, 3), np.int16), np.diag([2.0, 2.0, 0.9, 1.0]))
    assert grid_at(volume, (3.0, 3.0, 3.0))[1] == [27, 27, 1]
    with pytest.raises(InputError, match="whose voxels are 6 mm") as caught:
        grid_at(volume, (3.0, 3.0, 6.0))
    assert caught.value.code == "input.too_small"
    with pytest.raises(InputError) as caught:
        shape_at((3, 40, 40), (0.9, 2.0, 2.0), (6.0, 3.0, 3.0))
    assert caught.value.code == "input.too_small"
