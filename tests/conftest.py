"""Lets every test import the builders of small policy files and recorded flights."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "deploy"))
