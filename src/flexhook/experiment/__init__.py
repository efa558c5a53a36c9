"""Experiments: LightningModule, LightningDataModule, callbacks, ranks, run folders."""
