"""Which code a stored configuration may name.

A checkpoint, a run folder or a folder of golden values holds a configuration, and each ``_target_`` in it names a class or
function that a command would call. A file from somebody else must not choose freely: a command checks the parts that it is
going to build with :func:`check_parts` before it builds any. :data:`PARTS` lists what a file may name, and the arguments
that it may set. Trusted besides are

- the names in the command's own composed configuration: what the user asked for on this command line;
- the packages that the variable ``FLEXHOOK_TRUST`` lists, separated by commas;
- the modules behind entry points of the group ``flexhook.parts``, which installed packages declare.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from flexhook.errors import InputError

VARIABLE = "FLEXHOOK_TRUST"
ENTRY_POINTS = "flexhook.parts"

_IMAGES = "image_size mean std"
_MAPS = f"{_IMAGES} pretrained strides scales drop_path map_scale"
_ONE_STAGE = (
    "visual text width heads encoder_layers decoder_layers encoder_points decoder_points ffn num_queries dropout "
    "track_attention fixed"
)
_TIMM = (
    f"model weights {_MAPS} embed_dim depth depths dims num_heads patch_size window_size mlp_ratio init_values qkv_bias "
    "class_token reg_tokens no_embed_class dynamic_img_size dynamic_img_pad output_stride base_width cardinality drop_rate "
    "drop_path_rate attn_drop_rate proj_drop_rate pos_drop_rate patch_drop_rate"
)

#: What a stored configuration may name, with the arguments that it may set.
PARTS: dict[str, str] = {
    "flexhook.datasets.dataset.Dataset":
        "root truth sizes splits images expressions extra_sentences lengths on_missing_referent on_missing_video",
    "flexhook.datasets.expression_folder.ExpressionFolder": "folder first_frame",
    "flexhook.datasets.frame_labels.FrameLabels": "path first_frame origin classes",
    "flexhook.datasets.kitti_labels.KittiLabels": "path first_frame classes",
    "flexhook.datasets.labels_json.LabelsJson": "path first_frame classes",
    "flexhook.datasets.lamot.LamotAnnotations": "folders first_frame validation_share split_words",
    "flexhook.datasets.mixture.Mixture": "sources",
    "flexhook.datasets.mot_labels.MotLabels": "path first_frame numbering classes empty_boxes",
    "flexhook.datasets.naming.FramePattern": "pattern first_frame numbering step",
    "flexhook.datasets.shuffled.ShuffledSentences": "splits seed",
    "flexhook.encoders.blank.BlankVisualEncoder": f"{_IMAGES} channels strides",
    "flexhook.encoders.clip_text.ClipTextEncoder":
        "length pretrained weights tokenizer width layers heads projection vocabulary context",
    "flexhook.encoders.packaged.efficientnet_lite0": _MAPS,
    "flexhook.encoders.packaged.minilm": "length pretrained dropout config",
    "flexhook.encoders.rope_swin.RopeSwinEncoder":
        f"{_IMAGES} embed_dim depths num_heads pretrained weights strides scales drop_path mlp_ratio rope_theta window_size",
    "flexhook.encoders.swin.SwinEncoder": _TIMM,
    "flexhook.encoders.text.TransformersTextEncoder": "model length pretrained tokenizer config dropout",
    "flexhook.encoders.visual.TimmVisualEncoder": _TIMM,
    "flexhook.methods.detector.embedded.EmbeddedDetector": "weights threshold device",
    "flexhook.methods.detector.method.DetectorMethod": "name",
    "flexhook.methods.detector.network.DetectorNetwork":
        "visual classes width num_convs center_radius iou_threshold max_detections",
    "flexhook.methods.flexhook.alignment.TrajectoryAlignment": "queries weight positive_weight scale offset",
    "flexhook.methods.flexhook.decoder.PairwiseCorrespondenceDecoder": "heads",
    "flexhook.methods.flexhook.hook.CHook": "num_reference_points heads finest",
    "flexhook.methods.flexhook.motion_decoder.MotionQueryDecoder": "heads gain expansion",
    "flexhook.methods.flexhook.network.FlexHook": "visual text hook temporal decoder num_frames grid",
    "flexhook.methods.flexhook.temporal.TemporalIntegration": "motion",
    "flexhook.methods.flexhook.temporal.displacements": "",
    "flexhook.methods.flexhook.temporal.positions_only": "",
    "flexhook.methods.grounding.method.GroundingMethod": "name model detector recover fill_gaps min_length frame_rate",
    "flexhook.methods.grounding.referring_method.ReferringDetectorMethod":
        "name thresholds recover fill_gaps min_length frame_rate slow initial",
    "flexhook.methods.grounding.referring_network.ReferringDetector": _ONE_STAGE.replace("track_attention ", ""),
    "flexhook.methods.grounding.transformers_model.GroundedDetector":
        "model threshold text_threshold iou_threshold short_side sentence_batch",
    "flexhook.methods.ikun.network.IKUN": "visual text num_frames image_size crop_size heads",
    "flexhook.methods.one_stage.method.OneStageMethod": "name thresholds slow initial",
    "flexhook.methods.temprmot.network.TempRMOT":
        f"{_ONE_STAGE} train_history test_history temporal_layers temporal_ffn temporal_dropout",
    "flexhook.methods.transrmot.network.TransRMOT": f"{_ONE_STAGE} random_drop fp_ratio",
    "flexhook.methods.two_stage.calibration.SentenceFrequency": "weight offset sharpness",
    "flexhook.methods.two_stage.cosine.CosineDecoder": "",
    "flexhook.methods.two_stage.method.TwoStageMethod": "name",
    "flexhook.synthetic.TrackerErrors": "scale miss miss_length jitter jitter_memory fragment switch invent invent_length",
    "flexhook.trackers.associators.algorithms.BotSort":
        "lost_track_buffer track_activation_threshold minimum_consecutive_frames minimum_iou_threshold_first_assoc "
        "minimum_iou_threshold_second_assoc minimum_iou_threshold_unconfirmed_assoc high_conf_det_threshold enable_cmc "
        "cmc_method cmc_downscale class_agnostic",
    "flexhook.trackers.associators.algorithms.ByteTrack":
        "lost_track_buffer track_activation_threshold minimum_consecutive_frames minimum_iou_threshold high_conf_det_threshold "
        "class_agnostic",
    "flexhook.trackers.associators.algorithms.OCSort":
        "lost_track_buffer minimum_consecutive_frames minimum_iou_threshold direction_consistency_weight "
        "high_conf_det_threshold delta_t class_agnostic",
    "flexhook.trackers.associators.algorithms.Sort":
        "lost_track_buffer track_activation_threshold minimum_consecutive_frames minimum_iou_threshold class_agnostic",
    "flexhook.trackers.detect.DetectingTracker":
        "detector associator min_confidence recover fill_gaps min_length vote_class every frame_rate batch_size",
    "flexhook.trackers.detectors.background.BackgroundSubtraction":
        "history variance_threshold detect_shadows min_area max_area join match_exposure warmup name",
    "flexhook.trackers.detectors.grounding_dino.GroundingDino": "prompts model threshold iou_threshold device",
    "flexhook.trackers.detectors.mot.MotDetections": "root pattern first_frame classes min_confidence",
    "flexhook.trackers.detectors.torchvision_detector.TorchvisionDetector":
        "model weights threshold classes labels image_size device",
    "flexhook.trackers.detectors.transformers_detector.TransformersDetector": "model threshold classes image_size device",
    "flexhook.trackers.mot_files.TrackerFiles":
        "root layout classes first_frame min_confidence size pattern beyond_end empty_boxes unidentified",
    "flexhook.trackers.simulated.SimulatedTracks": "errors seed",
    "flexhook.trackers.simulated.TrueTracks": "",
}

#: What a file may set of a transformers configuration: sizes and constants, nothing that names code or a place.
TEXT_CONFIG = frozenset(
    "model_type vocab_size hidden_size embedding_size num_hidden_layers num_attention_heads num_hidden_groups inner_group_num "
    "intermediate_size hidden_act hidden_dropout_prob attention_probs_dropout_prob classifier_dropout max_position_embeddings "
    "type_vocab_size initializer_range layer_norm_eps position_embedding_type pad_token_id bos_token_id eos_token_id "
    "is_decoder use_cache dim hidden_dim n_layers n_heads dropout attention_dropout activation sinusoidal_pos_embds d_model "
    "d_ff d_kv d_inner num_layers n_layer n_head num_heads relative_attention_num_buckets relative_attention_max_distance "
    "feed_forward_proj layer_norm_epsilon dropout_rate relative_attention max_relative_positions pos_att_type "
    "position_biased_input projection_dim encoder_layers encoder_attention_heads encoder_ffn_dim decoder_layers "
    "decoder_attention_heads decoder_ffn_dim".split()
)
#: The largest values of sizes, by what their names hold.
_MOST = {
    r"layers|depth|heads|scales|num_frames|groups": 1_000,
    r"image_size|hidden_size|intermediate_size|width|channels|embed_dim|dims?$|d_model|d_ff|d_inner|projection": 16_384,
    r"num_reference_points|length|positions|grid|finest": 100_000,
}
_INSTANTIATE = {"_target_": str, "_partial_": bool, "_convert_": str}


def check_parts(stored: Any, keys: Iterable[str], source: str | Path, own: Any = None) -> None:
    """Refuse a stored configuration whose parts name code that nobody here trusts.

    Args:
        stored: The configuration, or plain containers.
        keys: The parts that are going to be built, such as ``model`` and ``data.reader``. Others are not looked at.
        source: The file that holds it, for the message.
        own: The command's own composed configuration, whose names are trusted.

    Raises:
        InputError: A part names something, or sets an argument, that is neither listed nor trusted.
    """
    cfg: Any = stored if OmegaConf.is_config(stored) else OmegaConf.create(stored)
    mine = [] if own is None else list(_nodes("", _own(own)))
    for key in keys:
        part = OmegaConf.select(cfg, key)
        if part is None:
            continue
        for name, node in _nodes(key, _plain(part)):
            _check_node(name, node, source, [other for _, other in mine])




def trusted_packages() -> tuple[str, ...]:
    """Packages and modules whose parts any file may name, from ``FLEXHOOK_TRUST`` and entry points."""
    given = (name.strip() for name in os.environ.get(VARIABLE, "").split(","))
    return tuple(name for name in (*given, *_declared()) if name and name != "flexhook")


@cache
def _declared() -> tuple[str, ...]:
    return tuple(sorted({point.module for point in entry_points(group=ENTRY_POINTS)}))


def _own(config: Any) -> Any:
    """A command's own configuration; one that refers to what another one has is left unresolved, which keeps its names."""
    try:
        return _plain(config)
    except OmegaConfBaseException:
        return OmegaConf.to_container(config, resolve=False)


def _plain(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


def _nodes(key: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping below a value that makes an object, the value included, with its key."""
    if isinstance(value, Mapping):
        if any(isinstance(k, str) and k.startswith("_") and k.endswith("_") for k in value):
            yield key, value
        for name, part in value.items():
            yield from _nodes(f"{key}.{name}" if key else str(name), part)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for k, part in enumerate(value):
            yield from _nodes(f"{key}[{k}]", part)


def _check_node(key: str, node: Mapping[str, Any], source: str | Path, own: Sequence[Mapping[str, Any]]) -> None:
    target = node.get("_target_")
    if node in own:
        return
    odd = [k for k, value in node.items()
           if not isinstance(k, str) or (k.startswith("_") and not isinstance(value, _INSTANTIATE.get(k, ())))]
    if odd or not isinstance(target, str):
        raise _refused(f"{key} has {odd[0]}" if odd else f"{key}._target_ is {target!r}", source,
                       "_target_ with a name, at most _partial_ and _convert_ beside it")
    if target not in PARTS:
        if any(target == other.get("_target_") for other in own) or _is_trusted(target):
            return
        raise _refused(f"{key} names {target}, which is none of the parts that a file may name", source,
                       "the parts of this version, or those of a package that you trust", _hint(target))
    allowed = {*PARTS[target].split(), *_INSTANTIATE}
    unknown = [k for k in node if k not in allowed]
    if unknown:
        raise _refused(f"{key} sets {unknown[0]} of {target}, which a file may not set", source,
                       f"some of {PARTS[target].replace(' ', ', ')}" if PARTS[target] else "no arguments")
    for name, value in node.items():
        _check_value(f"{key}.{name}", name, value, source)
    config = node.get("config")
    if target.startswith("flexhook.encoders.") and config is not None:
        wrong = [k for k in config if k not in TEXT_CONFIG] if isinstance(config, Mapping) else [str(config)]
        if wrong:
            raise _refused(f"{key}.config sets {wrong[0]}, which a file may not set", source,
                           "sizes of a transformers configuration, such as hidden_size")


def _check_value(key: str, name: str, value: Any, source: str | Path) -> None:
    """Refuse a source of a model that would bring more than weights, and sizes that no model has."""
    if isinstance(value, Mapping):
        for k, part in value.items():
            _check_value(f"{key}.{k}", str(k), part, source)
    elif isinstance(value, list):
        for part in value:
            _check_value(key, name, part, source)
    elif name == "model" and isinstance(value, str) and ":" in value:
        raise _refused(f"{key} is {value!r}", source, "the plain name of a model, without hf-hub: or local-dir:")
    elif isinstance(value, int | float) and not isinstance(value, bool) and name not in ("seed", "first_frame"):
        most = next((limit for words, limit in _MOST.items() if re.search(words, name)), 10_000_000)
        if not abs(value) <= most:  # not a number is no size either
            raise _refused(f"{key} is {value}", source, f"at most {most:,}")


def _is_trusted(target: str) -> bool:
    """Whether a trusted package defines it; one that only imports it from elsewhere does not."""
    packages = trusted_packages()

    def inside(name: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for package in packages)

    if not inside(target):
        return False
    try:
        found = get_object(target)
    except Exception:  # what is missing is told when it is built
        return True
    return inside(str(getattr(found, "__module__", "")))


def _hint(target: str) -> str:
    package = target.partition(".")[0]
    if package in sys.stdlib_module_names or package in ("flexhook", "hydra", "torch", "transformers", "lightning", "timm"):
        return "Nothing was built. Ask where the file comes from: no training of this version writes that"
    return f"Nothing was built. If you trust whoever made the file and the package, set {VARIABLE}={package}"


def _refused(problem: str, source: str | Path, expected: str, hint: str | None = None) -> InputError:
    return InputError(problem, file=source, expected=expected,
                      hint=hint or "Nothing was built. Score with the version that wrote the file, or train again")


