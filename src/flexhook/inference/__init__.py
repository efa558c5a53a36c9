"""Scoring of whole videos into score files."""
