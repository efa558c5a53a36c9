"""Tracking by referring: a detector finds what each sentence refers to in every frame, an associator links its boxes."""
