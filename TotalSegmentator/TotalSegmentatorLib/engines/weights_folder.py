"""Where the models are, for all engines."""

from __future__ import annotations

from pathlib import Path


def weights_folder() -> Path:
    """Where the official package keeps its models; the application may have named another place."""
    from totalsegmentator import config

    return Path(config.get_weights_dir())
