"""Puts the tests' helper modules (``tests/helpers``) within reach of every test."""

import os
import sys
from pathlib import Path

HELPERS = Path(__file__).parent / "helpers"
sys.path.insert(0, str(HELPERS))
os.environ["FLEXHOOK_TRUST"] = "toy_world,colour_method,corners_layout"  # stored configurations may name the tests' own parts
