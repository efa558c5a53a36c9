"""Checkpoints of the authors to ours and back."""
