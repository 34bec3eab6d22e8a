"""The page that says which engines give the labels of MONAI's bundles."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from engines.monai import bundle_identity, nv_identity

REPOSITORY = Path(__file__).resolve().parents[4]


def test_identity_table_is_up_to_date():
    tool = REPOSITORY / "Tools" / "build_identity_table.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("suite", [bundle_identity, nv_identity])
def test_no_voxel_differed_in_any_comparison(suite):
    path = Path(suite.__file__).with_suffix(".jsonl")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(rows) >= len(suite.quick_cases())
    assert {row["engine"] for row in rows} == {suite.ENGINE}
    assert all(row["voxels"] and not row["differing"] for row in rows)
