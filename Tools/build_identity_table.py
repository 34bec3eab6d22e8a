#!/usr/bin/env python3
"""Make the page that says which engines give the labels of MONAI's bundles, voxel by voxel.

Runs anywhere; needs only the standard library. What was compared stands in files of JSON lines
beside the suites, which print them:

    cd Testing/Python/engines/monai
    python bundle_identity.py > bundle_identity.jsonl
    python nv_identity.py > nv_identity.jsonl
    python Tools/build_identity_table.py            # writes Docs/engine-identity.md
    python Tools/build_identity_table.py --check    # exits with 1 if the committed file differs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from generated_files import REPOSITORY, check_parser, write_or_compare

RESULTS = REPOSITORY / "Testing" / "Python" / "engines" / "monai"
TABLE = REPOSITORY / "Docs" / "engine-identity.md"
_HEAD = """\
# Our engines and MONAI's bundles, voxel by voxel

Made by `Tools/build_identity_table.py` from what `bundle_identity.py` and `nv_identity.py` in
`Testing/Python/engines/monai/` have printed; with `--long` they compare more. Do not edit.

Both ran on the same images with the same made weights, on a CPU: our engine, and
`python -m monai.bundle run` of MONAI 1.6.1 on a configuration that the tests write from what is
known of the bundle, with its defects corrected. The networks are the bundles', with fewer features.
"""
_HEADER = "| Engine | Image | Options | Voxels | Differing |\n|---|---|---|---:|---:|"


def main() -> int:
    arguments = check_parser((__doc__ or "").splitlines()[0]).parse_args()
    files = [path.read_text("utf-8") for path in sorted(RESULTS.glob("*.jsonl"))]
    rows = [json.loads(line) for text in files for line in text.splitlines()]
    return write_or_compare({TABLE: build(rows)}, arguments.check)


def build(rows: Sequence[dict[str, Any]]) -> str:
    """The page.

    :param rows: one for each comparison: engine, image, option, voxels, differing.
    """
    lines = [
        "| `{engine}` | {image} | {option} | {voxels:,} | {differing:,} |".format(**row)
        for row in rows
    ]
    voxels, differing = (sum(row[name] for row in rows) for name in ("voxels", "differing"))
    total = f"{len(rows)} comparisons, {voxels:,} voxels, of which {differing:,} differ."
    return "\n".join([_HEAD, _HEADER, *lines, "", total, ""])


if __name__ == "__main__":
    sys.exit(main())
