#!/usr/bin/env python3
"""Fetch the sample CT for tests and print where its files are.

Usage: python sample_data.py [FOLDER]          (default: .cache/sample in the repository)
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_CACHE = REPOSITORY / ".cache" / "sample"
sys.path.insert(0, str(REPOSITORY / "TotalSegmentator"))

from TotalSegmentatorLib.environment.sample_data import SampleData, sample_ct  # noqa: E402
from TotalSegmentatorLib.errors import SegmentationError  # noqa: E402


def fetch(cache: Path = DEFAULT_CACHE) -> SampleData:
    """The sample CT, in the folder that all tests share.

    :raises SetupError: ``environment.sample_data`` if it can neither be found nor fetched.
    """
    return sample_ct(cache, progress=lambda text: print(text, file=sys.stderr))


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch the sample CT and print its files.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_CACHE)
    try:
        files = fetch(parser.parse_args().folder)
    except SegmentationError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for field, path in asdict(files).items():
        print(f"{field}: {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
