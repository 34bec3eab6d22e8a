"""What exists: tasks, their models and structures, codes, names and colours.

The data lie under ``data/``. ``tasks.json`` is written by ``Tools/build_catalog.py``; the others
are kept by hand. This room only reads them, and needs nothing but the standard library.
"""

from __future__ import annotations

from .groups import Group, Wanted, groups, structures_in, understand
from .planning import Plan, Step, plan
from .structures import Structure, find_structures, structure, structures
from .tasks import SPEEDS, Crop, Model, Task, check_structures, task, tasks
from .terminology import ANATOMIC_CONTEXT, TERMINOLOGY_CONTEXT, Code
from .terms import Terms, all_terms, terms
from .weights import TYPICAL_BYTES, Archive, archive

__all__ = [
    "ANATOMIC_CONTEXT",
    "SPEEDS",
    "TERMINOLOGY_CONTEXT",
    "TYPICAL_BYTES",
    "Archive",
    "Code",
    "Crop",
    "Group",
    "Model",
    "Plan",
    "Step",
    "Structure",
    "Task",
    "Terms",
    "Wanted",
    "all_terms",
    "archive",
    "check_structures",
    "find_structures",
    "groups",
    "plan",
    "structure",
    "structures",
    "structures_in",
    "task",
    "tasks",
    "terms",
    "understand",
]
