"""The synthetic world: driving scenes with referring expressions, made from a seed."""

from flexhook.datasets.synthetic.config import WorldConfig
from flexhook.datasets.synthetic.tracker import TrackerErrors, simulate_tracker
from flexhook.datasets.synthetic.write import ensure, generate

__all__ = ["TrackerErrors", "WorldConfig", "ensure", "generate", "simulate_tracker"]
