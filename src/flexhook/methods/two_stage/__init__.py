"""What all two-stage methods share: batches of windows, encoders, losses, LightningModule, scoring of whole videos."""
