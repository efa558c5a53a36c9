"""FlexHook: referring multi-object tracking as an experiment framework."""

__version__ = "0.1.0"
