"""Hydra configuration: its folder, resolvers, checks and messages."""
