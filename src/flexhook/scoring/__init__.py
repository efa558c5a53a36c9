"""Scores of whole videos: the engine that computes them and the files that hold them."""
