"""Associators: what links the boxes of frames, see :class:`flexhook.structures.protocols.Associator`."""
