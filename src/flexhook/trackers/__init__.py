"""Trackers: what makes the trajectories of a video."""
