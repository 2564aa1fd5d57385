"""Runs one program's main(): `python whole.py PROGRAM SCALE`."""

import runpy
import sys
from pathlib import Path

path, scale = Path(sys.argv[1]), float(sys.argv[2])
sys.path.insert(0, str(path.parent))
runpy.run_path(str(path))["main"](scale)
