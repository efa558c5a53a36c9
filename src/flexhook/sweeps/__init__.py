"""Sweeps of ablations over seeds, and studies."""
