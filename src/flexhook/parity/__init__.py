"""Comparison of this model with golden values, number by number."""
