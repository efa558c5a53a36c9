"""Trackers: what makes the trajectories of a video. Each is a :class:`flexhook.structures.protocols.Tracker`."""
