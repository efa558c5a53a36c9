"""TempRMOT (Zhang et al., 2024): TransRMOT with a memory of every instance that refines the decoder's answers."""
