"""Readers that translate every dataset and tracker output into the one in-memory form of :mod:`flexhook.structures`."""
