"""Overlays, contact sheets and learning curves."""
