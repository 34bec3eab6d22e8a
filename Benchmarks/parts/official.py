"""The official command line, as a user starts it; takes the same arguments.

Two things differ. It sends no usage statistics. And it knows the trainers of its models beforehand
(--trainers): the official search for them imports what fails beside a CPU build of PyTorch. That
makes it a second faster.

With --profile FILE it notes how long its steps take.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from totalsegmentator import python_api
from totalsegmentator.bin.TotalSegmentator import main as command_line

_HERE = Path(__file__).resolve().parent
# Of these neither is there by itself: PYTHONSAFEPATH is set.
sys.path[:0] = [str(_HERE), str(_HERE.parents[1] / "TotalSegmentator")]


def main() -> None:
    """Run the command line with what is left of the arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--trainers", nargs="*", default=[])
    parser.add_argument("--profile", type=Path)
    own, sys.argv[1:] = parser.parse_known_args()
    os.dup2(2, 1)  # standard output is nobody's
    python_api.send_usage_stats = lambda *_, **__: None
    python_api.setup_nnunet()
    from totalsegmentator import nnunet

    from TotalSegmentatorLib.engines.trainers import find_trainer

    nnunet.custom_trainers.update({name: find_trainer(name) for name in own.trainers})
    if not own.profile:
        command_line()
        return
    from official_profile import profiled

    with profiled(own.profile):
        command_line()


if __name__ == "__main__":
    main()
