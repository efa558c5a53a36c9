"""The synthetic world: driving scenes with referring expressions, made from a seed."""

from flexhook.synthetic.config import WorldConfig
from flexhook.synthetic.tracker_errors import TrackerErrors, simulate_tracker
from flexhook.synthetic.world_files import ensure, generate

__all__ = ["TrackerErrors", "WorldConfig", "ensure", "generate", "simulate_tracker"]
