"""The checkpoints that are known to be the published ones, byte by byte.

The application notes their checksums when it unpacks an archive whose own checksum it could check,
see ``environment/weights``. It does so in a file of the user's own: beside the weights, whoever can
change them could change the note. An engine needs it for no more than a checkpoint that is refused
otherwise.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

#: Environment variable of the engine process: the file with the checksums.
KNOWN_WEIGHTS = "TOTALSEGMENTATOR_KNOWN_WEIGHTS"
#: Under which name they stand in that file, one JSON object: by model, SHA-256 by path.
MODELS = "models"


def is_known(content: bytes) -> bool:
    """Whether the content of a checkpoint is, byte by byte, one from a checked archive."""
    try:
        models = json.loads(Path(os.environ[KNOWN_WEIGHTS]).read_text("utf-8"))[MODELS]
        known = {digest for files in models.values() for digest in files.values()}
    except (KeyError, OSError, ValueError, TypeError, AttributeError):
        return False
    return hashlib.sha256(content).hexdigest() in known
