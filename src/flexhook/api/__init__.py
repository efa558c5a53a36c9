"""The Python interface: load a model, predict videos, follow a live stream. ``flexhook`` itself has these names, too."""

from flexhook.api.live import LiveStream
from flexhook.api.loading import load
from flexhook.api.model import Model
from flexhook.api.pretrained import grounding
from flexhook.api.results import Prediction, SentenceResult
from flexhook.trackers.from_config import first_stage

__all__ = ["LiveStream", "Model", "Prediction", "SentenceResult", "first_stage", "grounding", "load"]
