"""Puts the tests' helper modules (``tests/helpers``) within reach of every test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
