"""What a brain without skull looks like, and whether a mask can be a brain's."""

from __future__ import annotations

import numpy as np

from ....images import Image

#: Brains have 300 ml (newborns) to 2000 ml, whole heads more.
SMALLEST_ML, LARGEST_ML = 200, 2500
#: Some programs round headers; no brain changes within a tenth of a millimetre.
SAME_PLACE_MM = 0.1


def volume_ml(mask: np.ndarray, image: Image) -> float:
    """Volume of a mask in millilitres.

    :param mask: bool (K, J, I).
    :param image: whose grid it has.
    """
    return np.count_nonzero(mask) * image.voxel_volume_ml


def brain_alone(image: Image) -> np.ndarray | None:
    """The brain, bool (K, J, I), of an image that shows nothing else; None for others.

    One value fills most of such an image's border, often 0; what differs from it is as large as a
    brain.
    """
    array = image.array
    faces = [array.take(end, axis).ravel() for axis in range(3) for end in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    if 2 * counts.max() < counts.sum():
        return None
    mask = array != values[counts.argmax()]
    return mask if SMALLEST_ML <= volume_ml(mask, image) <= LARGEST_ML else None
