"""Whatever bytes a file holds, reading it gives an image or an error with a code."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from SampleData.bad_inputs import meta_bytes, nifti_bytes, nrrd_bytes

from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.images import read_image, read_labelmap, read_nifti_label_names

FILES = {
    "i.nii": nifti_bytes(),
    "i.nii.gz": gzip.compress(nifti_bytes()),
    "i.nrrd": nrrd_bytes(),
    "i.mha": meta_bytes(),
}
HEADER_BYTES = 360
EDITS = st.lists(
    st.tuples(st.integers(0, HEADER_BYTES), st.integers(0, 255)), min_size=1, max_size=8
)
ONE_FOLDER = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def edited(content: bytes, edits: list[tuple[int, int]]) -> bytes:
    changed = bytearray(content)
    for position, value in edits:
        changed[position % len(changed)] = value
    return bytes(changed)


@ONE_FOLDER
@given(name=st.sampled_from(sorted(FILES)), edits=EDITS)
def test_changed_headers(name: str, edits: list[tuple[int, int]], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(edited(FILES[name], edits))
    for read in (read_image, read_labelmap, read_nifti_label_names):
        try:
            result = read(path)
        except SegmentationError as error:
            assert error.message
            assert error.remedy
        else:
            if read is read_image:
                assert np.isfinite(result[0].array).all()
