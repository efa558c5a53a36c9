"""The referring model: C-Hook, temporal integration, pairwise correspondence decoder, losses."""
