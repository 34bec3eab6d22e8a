"""What tests of DICOM share: a real series, as files and as slices to make variants of."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from SampleData import dicom_ct as real_ct
from SampleData.dicom_series import real_slices


@pytest.fixture(scope="session")
def dicom_ct() -> list[Path]:
    """The files of a real CT series: 20 slices in JPEG 2000, with empty UIDs."""
    return real_ct.fetch()


@pytest.fixture(scope="session")
def dicom_ct_slices(dicom_ct: list[Path]) -> list[Dataset]:
    """The same slices, uncompressed and with UIDs; copy them before changing them."""
    return real_slices(dicom_ct)
