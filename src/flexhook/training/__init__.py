"""Training jobs: trainer, checkpoints, callbacks, run folders, processes."""
