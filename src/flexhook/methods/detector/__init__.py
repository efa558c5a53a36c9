"""The embedded detector: FCOS on a frozen visual encoder, trained on any dataset with true boxes."""
