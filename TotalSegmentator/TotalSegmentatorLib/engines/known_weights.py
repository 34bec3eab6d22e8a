"""The checkpoints that are known to be the published ones, byte by byte.

The application notes their checksums when it unpacks an archive whose own checksum it could check,
see ``environment/weights``. It does so in a file of the user's own: beside the weights, whoever can
change them could change the note. An engine needs it for no more than a checkpoint that is refused
otherwise.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..jobs.checksums import sha256_of

#: Environment variable of the engine process: the file with the checksums.
KNOWN_WEIGHTS = "TOTALSEGMENTATOR_KNOWN_WEIGHTS"
#: Under which name they stand in that file, one JSON object: a list of SHA-256.
CHECKPOINTS = "checkpoints"


def is_known(checkpoint: Path) -> bool:
    """Whether a file is, byte by byte, one that came from a checked archive."""
    try:
        values = json.loads(Path(os.environ[KNOWN_WEIGHTS]).read_text("utf-8"))
        known = values[CHECKPOINTS]
    except (KeyError, OSError, ValueError, TypeError):
        return False
    return isinstance(known, list) and sha256_of(checkpoint) in known
