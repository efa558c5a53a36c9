"""FlexHook: C-Hook, temporal integration and pairwise correspondence decoder."""
