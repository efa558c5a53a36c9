"""Evaluation of referring tracking: HOTA, CLEAR and Identity per (video, expression), and their limits.

Knows nothing of models: it works on true trajectories, labels, tracks and accepted (observation, expression) pairs.
"""
