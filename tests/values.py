"""Numbers computed by other programs, to hold ours against."""

import json
from pathlib import Path

VALUES = json.loads((Path(__file__).parent / "data" / "values.json").read_text())
