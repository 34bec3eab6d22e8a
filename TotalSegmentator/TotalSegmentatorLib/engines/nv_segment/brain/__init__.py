"""A T1 brain as the network was trained to see it, and its labels back on the original grid.

Used in the engine process only.
"""

from __future__ import annotations

from .preparation import BrainOptions, PreparedBrain, labels_on_original, prepare_brain

__all__ = ["BrainOptions", "PreparedBrain", "labels_on_original", "prepare_brain"]
