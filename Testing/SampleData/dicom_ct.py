#!/usr/bin/env python3
"""Fetch a real CT series and print where its files are: 20 slices in JPEG 2000, with empty UIDs.

It comes from the source archive of the TotalSegmentator package (Apache-2.0), as the sample CT.

Usage: python dicom_ct.py [FOLDER]          (default: .cache/dicom_ct in the repository)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_CACHE = REPOSITORY / ".cache" / "dicom_ct"
sys.path.insert(0, str(REPOSITORY / "TotalSegmentator"))

from TotalSegmentatorLib.environment.pypi_files import PyPIFiles  # noqa: E402
from TotalSegmentatorLib.environment.sample_data import (  # noqa: E402
    PACKAGE,
    SOURCE_SHA256,
    VERSION,
)

_MEMBER_FOLDER = "tests/reference_files/example_ct_dicom"
_NAME = "CT.1.3.12.2.1107.5.1.4.60064.300000221208081134280000165{}"
# SHA-256 of the slices 73 to 92.
_SUMS = (
    "4c5633409fa4d3edf6871e5684e9e1b10325b4d0949997582f43b23a684d0dc4",
    "9148f91127145497f4d6c6f0780f9452504cd7fe5088ec8f2bf2b21800c731ff",
    "3edaccec892e0821440cbefe3d5465923bb5146c316cbaf58f578d962f120484",
    "9b68685f0c5f9bfcfc2c397f4fadf431da288d7422ca72e7d9031d4e039418cd",
    "c8d2c0dc05e414d47d3652c658d8fecc20c3cf7ce106c10d84ad033d39700bcc",
    "0ee2c1d58e06cedd91483ca35c04da3c26fea0dbe88aaf1eaa950b57f38357d6",
    "c76cf0818d4215b92883d109b8a0b62ae0a4d81637eed98738f9c62b6f49bb72",
    "106e20514fd3ca66895e14dbfba96c01c1195e4ed890c035d4368dd71f3ee116",
    "5804e6c4a50f4d5b20040ac82a1c6d79cba5f7267d71f10b0a1b49eda1bc13ff",
    "bef219a16b22949224de4581a2d288863b2585d29556ac24021f03307378cb39",
    "9de5a49e880417d5330fe299115fdb95831a98234216a31c5c0e9a0be9a6dcd3",
    "fa00c8d81ec8aa0d0cfc4e05343782c3a75a4c60df8cccf9ff5db42ac454e61d",
    "ebba0900b0f728db0c94c769db3e5ca38a0cd916386a727541eb3e56350770e5",
    "f084ec95cfba25efb7cbe86e8b4966b051904037e8385f58fe398c5475693b89",
    "20a9b88a30ea8a824ac65cb19c1ebf80964b41ff476497706ff2a286e5f27a25",
    "2a515d3b60f3ff733aac1fc5414206c331e3ed2ccef8c2e0c30b844c538e3ed8",
    "5880669f1bc36b09cad4bdf487992ec415da0afa014e927efc282e612f467574",
    "7af4dd5b5766a87368939116b91f90d989820e7b2237fb9bcd10d47db0960875",
    "671306f4462ae881976c18c6a2d8a1567279fb0166ef0e9e8a41271fac9c1cbb",
    "fdb76ad5272f074e07cc81509604fd163f2f8a9903d34b16ba6f078250373c51",
)
SUMS = {_NAME.format(number): digest for number, digest in enumerate(_SUMS, 73)}


def fetch(cache: Path = DEFAULT_CACHE) -> list[Path]:
    """The files of the series, fetched on the first call.

    :raises FetchError: if they can neither be found nor fetched.
    """
    title = "the sample series"
    PyPIFiles(title, PACKAGE, VERSION, _MEMBER_FOLDER, SUMS, SOURCE_SHA256).fetch(cache)
    return [cache / name for name in SUMS]


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch a real CT series.")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_CACHE)
    for path in fetch(parser.parse_args().folder):
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
