"""How many windows a network is given at once on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..gpu import Way, unused_bytes
from .plans import Plans
from .windows import half_precision_bytes

_HALF_BYTES = 2
# More windows at once hardly keep a GPU busier, and a cancelled run would take longer to stop.
_MOST_WINDOWS = 4
# Of the free memory; cuDNN tries algorithms that want memory of their own.
_SHARE = 0.5


def ways(device: torch.device, plans: Plans, shape: Sequence[int]) -> tuple[Way, ...]:
    """The ways to run a network, the fastest first; each needs less of a GPU's memory.

    :param shape: of the padded volume (z, y, x).
    """
    if device.type == "cpu":
        return (Way(1, device),)
    several = windows_at_once(unused_bytes(device), plans, shape) if device.type == "cuda" else 1
    found = [Way(1, device), Way(1, torch.device("cpu"))]
    return (Way(several, device), *found) if several > 1 else tuple(found)


def windows_at_once(free_bytes: int, plans: Plans, shape: Sequence[int]) -> int:
    """How many windows fit into a GPU's memory together.

    The sums of their scores need 2 (C + 1) bytes for each voxel of as many rows as a window has,
    with C channels of scores.

    :param shape: of the padded volume (z, y, x).
    """
    held = plans.patch[0] * shape[1] * shape[2]
    sums = _HALF_BYTES * (plans.heads.count + 1) * held
    fitting = int(free_bytes * _SHARE - sums) // window_bytes(plans)
    return max(1, min(_MOST_WINDOWS, fitting))


def window_bytes(plans: Plans) -> int:
    """See :func:`~.windows.half_precision_bytes`."""
    features = plans.arguments["features_per_stage"][0]
    return half_precision_bytes(math.prod(plans.patch), features, plans.heads.count)
