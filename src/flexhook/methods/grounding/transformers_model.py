"""Text-grounded detection models of transformers: Grounding DINO and MM-Grounding-DINO, by hub name or folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from supervision import Detections
from torch import Tensor, nn
from torchvision.ops import box_convert, nms

from flexhook.encoders.weight_files import weights_fingerprint
from flexhook.errors import ConfigError, InputError
from flexhook.trackers.detections import make_detections
from flexhook.trackers.detectors.transformers_detector import load_pretrained

TYPES = ("grounding-dino", "mm-grounding-dino")
"""``model_type`` of the models that give a score of every word for every box."""
OPTION = "method.model"
MIN_SIDE = 64
"""Pixels of the smallest picture; the coarsest of the model's maps has a stride of 64."""


@dataclass(frozen=True)
class Caption:
    """A sentence as the model takes it.

    Attributes:
        ids: Its L tokens.
        words: (L,) bool: the tokens of words that the model knows; full stops and special tokens are none.
    """

    ids: tuple[int, ...]
    words: tuple[bool, ...]


class GroundedDetector:
    """Boxes that a sentence refers to, by a pretrained model that has never seen the data.

    The models score every word of a caption for every box (Grounding DINO, https://arxiv.org/abs/2303.05499;
    MM-Grounding-DINO, https://arxiv.org/abs/2401.02361). A sentence is a caption of its own, so that sentences do not compete.
    The sentences of a frame go through the model in batches. All sentences of a batch share the frame's image features: the
    image backbone sees one picture, and its output is repeated for each sentence. What follows fuses image and words and is
    computed per sentence.

    Args:
        model: A name on the hub, or a folder that ``save_pretrained`` made of model and processor. Weights are read from
            safetensors files; no code of the repository runs.
        threshold: A box needs a word with such a score, 0 to 1; it is the confidence of the box. A larger value finds fewer
            objects and invents fewer.
        text_threshold: And such a mean score of the sentence's words, 0 to 1. A larger value asks more that a box fits the
            whole sentence, and is hard on long sentences, most of whose words score low; 0 asks for nothing.
        iou_threshold: Of two boxes that overlap more, the one of lower score is dropped.
        short_side: Pixels that the shorter side of frames is resized to; None for what the image processor says (800).
            Larger finds smaller objects and is slower.
        sentence_batch: Sentences that go through the model at a time. A larger value takes more memory.

    Attributes:
        model: The model.

    Raises:
        InputError: The model cannot be had, or is of another kind.
        ConfigError: A setting is out of its range.
    """

    def __init__(
        self,
        model: str = "IDEA-Research/grounding-dino-tiny",
        threshold: float = 0.3,
        text_threshold: float = 0.0,
        iou_threshold: float = 0.7,
        short_side: int | None = None,
        sentence_batch: int = 8,
    ) -> None:
        shares = {"threshold": threshold, "text_threshold": text_threshold, "iou_threshold": iou_threshold}
        for name, value in shares.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ConfigError(f"the grounding detector's {name} is {value!r}", expected="a number, 0 to 1")
        side = MIN_SIDE if short_side is None else short_side
        counts = {"short_side": (side, MIN_SIDE), "sentence_batch": (sentence_batch, 1)}
        for name, (count, least) in counts.items():
            if not isinstance(count, int) or count < least:
                raise ConfigError(f"the grounding detector's {name} is {count!r}", expected=f"a whole number, {least} or more")
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        self.threshold, self.text_threshold, self.iou_threshold = float(threshold), float(text_threshold), float(iou_threshold)
        self.short_side, self.sentence_batch = short_side, sentence_batch
        processor, self.model = load_pretrained(model, AutoProcessor, AutoModelForZeroShotObjectDetection, OPTION, "", TYPES)
        self._pictures, self._tokenizer = processor.image_processor, processor.tokenizer
        self._fingerprint = weights_fingerprint(self.model)
        self._captions: dict[str, Caption] = {}
        config = self.model.config
        positions = getattr(config.text_config, "max_position_embeddings", config.max_text_len)
        self._length = min(config.max_text_len, positions, self._tokenizer.model_max_length)

    def to(self, device: Any) -> None:
        """Compute on a device from now on."""
        self.model.to(device)

    def check(self, sentence: str) -> None:
        """See that the model knows words of a sentence.

        Raises:
            InputError: It knows none, or there are none.
        """
        self.caption(sentence)

    def caption(self, sentence: str) -> Caption:
        """A sentence's tokens.

        One that is longer than the model takes is cut, and words that it does not know are left out of the score; both are
        warned of once.

        Raises:
            InputError: The model knows no word of it, or there are none.
        """
        if sentence not in self._captions:
            self._captions[sentence] = self._encode(sentence)
        return self._captions[sentence]

    def _encode(self, sentence: str) -> Caption:
        text = sentence.strip().rstrip(".?! ").lower() + "."
        whole = self._tokenizer(text, return_offsets_mapping=True, verbose=False)
        if len(whole["input_ids"]) > self._length:
            count = len(whole["input_ids"])
            warnings.warn(f"the sentence has {count} tokens and is cut to {self._length}: “{sentence[:60]}...”", stacklevel=2)
        cut = self._tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=self._length)
        ids, unknown = cut["input_ids"], self._tokenizer.unk_token_id
        pieces = [text[begin:end] for begin, end in cut["offset_mapping"]]
        spoken = [any(c.isalnum() for c in piece) for piece in pieces]
        strange = [piece for piece, is_word, k in zip(pieces, spoken, ids, strict=True) if is_word and k == unknown]
        words = [is_word and k != unknown for is_word, k in zip(spoken, ids, strict=True)]
        if not any(words):
            problem = "the model knows no word of" if strange else "there is no word in"
            raise InputError(f"{problem} the sentence “{sentence[:60]}”", expected="words of the model's language",
                             hint="Grounding DINO is trained on English; another model goes into method.model")
        if strange:
            warnings.warn(f"the model does not know {', '.join(strange)} of “{sentence[:60]}”; it looks for the other words",
                          stacklevel=2)
        return Caption(tuple(ids), tuple(words))

    @torch.inference_mode()
    def detect(self, frame: np.ndarray, sentences: Sequence[str]) -> list[Detections]:
        """Detections per sentence; see :class:`flexhook.structures.protocols.SentenceDetector`."""
        captions = [self.caption(sentence) for sentence in sentences]
        size = {} if self.short_side is None else {"size": self._resized()}
        picture = self._pictures(images=[np.array(frame)], return_tensors="pt", **size).to(self.model.device)
        found: list[Detections] = []
        for start in range(0, len(captions), self.sentence_batch):
            found += self._detect(picture, captions[start : start + self.sentence_batch], frame.shape[:2])
        return found

    def _detect(self, picture: Any, captions: Sequence[Caption], size: Any) -> list[Detections]:
        ids, mask, words = (padded(column, self.model.device) for column in (
            [c.ids for c in captions], [(True,) * len(c.ids) for c in captions], [c.words for c in captions]))
        count = len(captions)
        pixels = {name: picture[name].expand(count, *picture[name].shape[1:]) for name in ("pixel_values", "pixel_mask")}
        with one_picture(self.model.model.backbone):
            outputs = self.model(input_ids=ids.long(), attention_mask=mask.long(), **pixels)
        scores = outputs.logits[..., : ids.shape[1]].sigmoid() * words[:, None]  # (B, Q, L)
        best, mean = scores.amax(-1), scores.sum(-1) / words.sum(-1, keepdim=True)
        keep = (best >= self.threshold) & (mean >= self.text_threshold)
        return [self._select(size, b[k], s[k]) for b, s, k in zip(outputs.pred_boxes, best, keep, strict=True)]

    def _select(self, size: Any, boxes: Tensor, scores: Tensor) -> Detections:
        xyxy = box_convert(boxes, "cxcywh", "xyxy") * boxes.new_tensor([size[1], size[0]] * 2)
        chosen = nms(xyxy, scores, self.iou_threshold)
        return make_detections(xyxy[chosen].cpu().numpy(), scores[chosen].cpu().numpy(), size=size)

    def _resized(self) -> dict[str, int]:
        """The image processor's size with another shorter side, the longer one in proportion."""
        assert self.short_side is not None
        usual = dict(self._pictures.size)
        longest = round(usual.get("longest_edge", 1333) * self.short_side / usual.get("shortest_edge", 800))
        return {"shortest_edge": self.short_side, "longest_edge": longest}

    def key(self) -> str:
        """Weights, image processor and settings."""
        settings = (self.threshold, self.text_threshold, self.iou_threshold, self.short_side, self._pictures.to_json_string())
        return f"GroundedDetector {self._fingerprint} {settings}"


def padded(rows: Sequence[Sequence[int]], device: Any) -> Tensor:
    """Rows of different length as one tensor, (rows, longest), with zeros behind the shorter ones."""
    return nn.utils.rnn.pad_sequence([torch.tensor(row, device=device) for row in rows], batch_first=True)


@contextmanager
def one_picture(backbone: nn.Module) -> Iterator[None]:
    """Within this context a module whose inputs have B equal rows computes the first one, and repeats its outputs B times.

    Args:
        backbone: A module from tensors (B, ...) to tensors (B, ...) in tuples and lists of any depth.
    """
    count: list[int] = []

    def first(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if inputs:  # a version that names them instead computes all rows, and gets the same
            count.append(len(inputs[0]))
        return tuple(x[:1] for x in inputs)

    def repeat(_: nn.Module, inputs: tuple[Tensor, ...], outputs: Any) -> Any:
        return repeated(outputs, count.pop()) if count else outputs

    handles = (backbone.register_forward_pre_hook(first), backbone.register_forward_hook(repeat))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def repeated(value: Any, count: int) -> Any:
    """Tensors of one row in tuples and lists, with ``count`` equal rows."""
    if isinstance(value, Tensor):
        return value.expand(count, *value.shape[1:])
    return type(value)(repeated(part, count) for part in value)
