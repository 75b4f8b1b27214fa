"""Lets every test import what tests share: policy files, recorded flights, engines under test."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / part) for part in ("deploy", "sim")]
