"""What one-stage methods share: words fused into the pyramid, a deformable transformer with track queries, clips, run time."""
