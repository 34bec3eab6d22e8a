"""Makes the models of many cases in one process; for the engine environment.

python models.py MODELS.json: a list of objects with weights, image, kind and tasks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "SampleData"))
from made_models import make_models

for wanted in json.loads(Path(sys.argv[1]).read_text("utf-8")):
    make_models(Path(wanted["weights"]), wanted["tasks"], Path(wanted["image"]), wanted["kind"])
