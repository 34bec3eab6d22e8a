"""Install a bundle of tiny packages where no network can be used.

    python run_bundle.py BUNDLE PACKAGES PORT

A test starts it in a network of its own, or with an environment in which all addresses lead
nowhere. It fails if it can reach the server of the test. The user's data are in XDG_DATA_HOME.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPOSITORY / "TotalSegmentator"), str(REPOSITORY / "Testing" / "Python")]

from support.tiny_packages import TinyPackages  # noqa: E402
from support.tiny_setup import use_tiny_packages  # noqa: E402

from TotalSegmentatorLib.environment import bundle, user_data_folder  # noqa: E402


def main() -> None:
    path, packages, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        reached = True
    except OSError:
        reached = False
    use_tiny_packages(TinyPackages(packages), user_data_folder())
    done = bundle.install(path, Path(os.environ["TOTALSEG_WEIGHTS_PATH"]))
    print(
        json.dumps(
            {
                "reached": reached,
                "state": done.environment.state if done.environment else None,
                "folder": str(done.environment.folder) if done.environment else None,
                "weights": [entry.model.folder for entry in done.weights],
            }
        )
    )


if __name__ == "__main__":
    main()
