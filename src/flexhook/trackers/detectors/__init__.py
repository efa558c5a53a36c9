"""Detectors: what finds the boxes of single frames, see :class:`flexhook.structures.protocols.Detector`."""
