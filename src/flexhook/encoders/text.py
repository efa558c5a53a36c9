"""Text encoders from transformers: any encoder by name or folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig
from transformers.utils import logging as transformers_logging

from flexhook.encoders.hub import address, first_line, hub, local_or_hub
from flexhook.encoders.tokenizers import HashingTokenizer, PaddedTokens, PretrainedTokenizer, Tokenizer
from flexhook.errors import InputError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and the loaders' forks do not go together

NO_CODE = {"trust_remote_code": False}  # and without the question that transformers would ask on a terminal
# What the hub's config.json of these models says, so that random weights need no hub.
KNOWN_CONFIGS: dict[str, dict[str, Any]] = {
    "roberta-base": {
        "model_type": "roberta",
        "vocab_size": 50265,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "bert-base-uncased": {
        "model_type": "bert",
        "vocab_size": 30522,
        "pad_token_id": 0,
        "bos_token_id": 101,
        "eos_token_id": 102,
    },
}


class TransformersTextEncoder(nn.Module):
    """A transformers encoder's last hidden state; the pooler, which nothing would train, is left out.

    Args:
        model: Folder with ``config.json``, weights and tokenizer files, or name on the hub.
        length: Tokens per sentence, L; longer sentences are truncated.
        pretrained: Load the weights. Otherwise they are random, and only the configuration is read from ``model``
            (``roberta-base`` and ``bert-base-uncased`` are known here).
        tokenizer: Folder or name of the tokenizer, where it is not the model's; ``hashing`` is one without files, for
            random weights only. It is loaded when it is first used.
        config: Values of the transformers configuration that replace the model's; with a ``model_type`` they are all
            of it.
        dropout: Replaces the model's own dropout probabilities (hidden and attention) in training mode.

    Attributes:
        width: Width of the tokens, D.
        length: Tokens per sentence, L.

    Raises:
        InputError: The files cannot be had, or do not hold every tensor of the model.
    """

    def __init__(
        self,
        model: str,
        length: int = 25,
        pretrained: bool = True,
        tokenizer: str | None = None,
        config: Mapping[str, Any] | None = None,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        model = local_or_hub(model, "text.model")
        self.model_name, self.length, self.tokenizer_name = model, int(length), tokenizer
        if length < 3:
            raise InputError(f"text length {length} leaves no room for a word", expected="at least 3 tokens")
        values = dict(config or {})
        if dropout is not None:
            values |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        if pretrained:
            self.net: Any = _load(model, values)
        else:
            self.net = AutoModel.from_config(model_config(model, values)).float()
        if self.net.config.is_encoder_decoder:
            self.net = self.net.get_encoder()
        if getattr(self.net, "pooler", None) is not None:
            self.net.pooler = None
        self.width: int = _width(self.net, model)
        positions = getattr(self.net.config, "max_position_embeddings", None)
        if positions is not None and 0 < positions < self.length:  # XLNet has -1: no limit
            raise InputError(f"text length {length} is beyond the {positions} positions of '{model}'")

    def tokenize(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask of sentences, padded to the encoder's length.

        Returns:
            ids (N, L) int64; mask (N, L) bool, True where there is a token.

        Raises:
            InputError: The tokenizer's files cannot be had.
        """
        return self._padded_tokens(sentences)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Last hidden state.

        Args:
            ids: (N, L') int64, L' at most L.
            mask: (N, L') bool, True where there is a token.

        Returns:
            (N, L', D).
        """
        return self.net(input_ids=ids, attention_mask=mask.long()).last_hidden_state

    @cached_property
    def _padded_tokens(self) -> PaddedTokens:
        if self.tokenizer_name == "hashing":
            config = self.net.config
            begin, end, pad = (
                getattr(config, f"{name}_token_id", None) or usual for name, usual in (("bos", 0), ("eos", 2), ("pad", 0))
            )
            tokenizer: Tokenizer = HashingTokenizer(config.vocab_size, begin, end, pad)
        else:
            tokenizer = PretrainedTokenizer(local_or_hub(self.tokenizer_name or self.model_name, "text.tokenizer"))
        return PaddedTokens(tokenizer, self.length)


def model_config(model: str, values: Mapping[str, Any]) -> PretrainedConfig:
    """The transformers configuration of a model: given in full, known here, in its folder, or on the hub.

    Args:
        model: Folder or name.
        values: Values that replace the model's; with ``model_type`` they are all of it.

    Raises:
        InputError: It cannot be had.
    """
    if "model_type" in values:
        values = dict(values)
        return AutoConfig.for_model(values.pop("model_type"), **values)
    if model in KNOWN_CONFIGS and not Path(model).is_dir():
        known = {**KNOWN_CONFIGS[model], **values}
        return AutoConfig.for_model(known.pop("model_type"), **known)
    try:
        with hub(needed=not Path(model).is_dir()):
            return AutoConfig.from_pretrained(model, **{**NO_CODE, **values})
    except Exception as error:
        raise _unavailable(model, error, "config.json") from error


def _load(model: str, values: Mapping[str, Any]) -> Any:
    """The model with its weights in float32, none of them left at random but the pooler's."""
    transformers_logging.disable_progress_bar()
    try:
        with hub(needed=not Path(model).is_dir()):
            net, info = AutoModel.from_pretrained(model, output_loading_info=True, **{**NO_CODE, **values})
    except Exception as error:
        raise _unavailable(model, error, "config.json, model.safetensors and the tokenizer files") from error
    random = sorted({*info["mismatched_keys"], *(k for k in info["missing_keys"] if not k.startswith("pooler."))})
    if random:
        raise InputError(
            f"its weights leave {len(random)} tensors of the model at random, such as {random[0]}",
            file=model,
            expected="every tensor of the encoder",
            hint="Fetch the model again, or use pretrained: false",
        )
    return net.float()


def _width(net: Any, model: str) -> int:
    """Width of the tokens, from the configuration or else from encoding two of them.

    Raises:
        InputError: The model gives no tokens for a sentence.
    """
    width = getattr(net.config, "hidden_size", None)
    if isinstance(width, int):
        return width
    ids = torch.ones(1, 2, dtype=torch.int64)
    try:
        with torch.no_grad():
            return net(input_ids=ids, attention_mask=ids).last_hidden_state.shape[-1]
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise InputError(
            f"'{model}' is no text encoder ({first_line(error)})",
            expected="a transformers model with a last hidden state for token ids alone",
            hint="Choose another text.model",
        ) from error


def _unavailable(model: str, error: BaseException, files: str) -> InputError:
    if Path(model).is_dir():
        return InputError(
            f"no text encoder can be loaded from the folder ({first_line(error)})", file=model, expected=files
        )
    return InputError(
        f"the text encoder '{model}' cannot be had ({first_line(error)})",
        expected=files,
        hint=f"Fetch these from {address(model)} on another machine into a folder here and set text.model=FOLDER; "
        "for random weights set text.pretrained=false",
    )
