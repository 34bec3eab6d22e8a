"""What exists: tasks, their models and structures, codes, names and colours.

The tables under ``data/`` are written by ``Tools/build_catalog.py``; this room only reads them, and
needs nothing but the standard library.
"""

from __future__ import annotations

from .structures import Structure, find_structures, structure, structures
from .tasks import SPEEDS, Crop, Model, Task, check_structures, task, tasks
from .terminology import ANATOMIC_CONTEXT, TERMINOLOGY_CONTEXT, Code

__all__ = [
    "ANATOMIC_CONTEXT",
    "SPEEDS",
    "TERMINOLOGY_CONTEXT",
    "Code",
    "Crop",
    "Model",
    "Structure",
    "Task",
    "check_structures",
    "find_structures",
    "structure",
    "structures",
    "task",
    "tasks",
]
