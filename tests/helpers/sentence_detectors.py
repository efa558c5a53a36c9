"""Detectors of sentences without a hub: one that looks at colours, and pretrained models' classes at a tiny size."""

import numpy as np
import torch
from colour_method import strength
from scipy import ndimage

from flexhook.errors import InputError
from flexhook.trackers.detections import make_detections

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] . ? car cars red blue person on a bicycle ##s".split()


class ColourDetector:
    """Rectangles of the colour that a sentence names, any where it names none; ``miss`` names (sentence, frame) pairs."""

    def __init__(self, threshold=0.3, score=0.5, miss=(), fail_at=None, **unused):
        self.threshold, self.score, self.miss, self.fail_at, self.asked = threshold, score, set(miss), fail_at, []

    def to(self, device):
        self.device = device

    def check(self, sentence):
        if sentence == "zebra":
            raise InputError("no such animal")

    def detect(self, frame, sentences):
        self.asked.append(tuple(sentences))
        if len(self.asked) == self.fail_at:
            raise RuntimeError("interrupted")
        out = []
        for sentence in sentences:
            found = ndimage.find_objects(ndimage.label(strength(frame, sentence) > 0.5)[0])
            found = [] if (sentence, len(self.asked) - 1) in self.miss else found
            boxes = [(xs.start, ys.start, xs.stop, ys.stop) for ys, xs in found]
            out.append(make_detections(boxes, np.full(len(boxes), self.score)))
        return out

    def key(self):
        return f"colour {self.threshold} {self.score}"


def save_grounding_dino(folder, kind="GroundingDino"):
    """A tiny Grounding DINO or MM-Grounding-DINO (``MMGroundingDino``) with random weights, as `save_pretrained` leaves it."""
    import transformers

    torch.manual_seed(0)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    text = transformers.BertConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                   intermediate_size=16)
    backbone = transformers.SwinConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
                                       out_features=["stage2", "stage3", "stage4"], out_indices=[2, 3, 4])  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=backbone, text_config=text.to_dict(), d_model=32, encoder_layers=1, decoder_layers=2, num_queries=12,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_text_len=16,
    )  # fmt: skip
    getattr(transformers, f"{kind}ForObjectDetection")(config).save_pretrained(folder)
    images = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    tokenizer = transformers.BertTokenizerFast.from_pretrained(str(folder))
    transformers.GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder
