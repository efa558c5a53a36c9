"""Datasets in the known layouts, composed as ``conf/data`` composes them; options of a part are named PART_OPTION."""

from flexhook.datasets.dataset import Dataset
from flexhook.datasets.expression_folder import ExpressionFolder
from flexhook.datasets.frame_labels import FrameLabels
from flexhook.datasets.kitti_labels import KittiLabels
from flexhook.datasets.labels_json import LabelsJson
from flexhook.datasets.lamot import LamotAnnotations
from flexhook.datasets.mot_labels import MotLabels
from flexhook.datasets.naming import FramePattern

#: The parts of the raw Refer-KITTI layout in a configuration of one's own, below ``reader``.
REFER_KITTI_PARTS = """    images:
      _target_: flexhook.datasets.naming.FramePattern
      pattern: "KITTI/training/image_02/{video}/{frame:06d}.{ext}"
    truth: {_target_: flexhook.datasets.frame_labels.FrameLabels}
    expressions: {_target_: flexhook.datasets.expression_folder.ExpressionFolder}
"""
KITTI_IMAGES = "KITTI/training/image_02/{video}/{frame:06d}.{ext}"


def compose(root, sizes, images, truth, expressions, options, splits=None):
    """A dataset of part classes with their defaults; ``options`` change them, those of no part are the dataset's own."""
    given = {"images": images, "truth": truth, "expressions": expressions}
    for option in list(options):
        part, _, name = option.partition("_")
        if part in given and option not in given and given[part] is not None:
            given[part] = (given[part][0], {**given[part][1], name: options.pop(option)})
    given |= {part: options.pop(part) for part in list(given) if part in options}
    made = {part: p[0](**p[1]) if isinstance(p, tuple) else p for part, p in given.items()}
    return options.pop("make", Dataset)(root, sizes=sizes, splits=splits, **made, **options)


def refer_kitti(root, splits, sizes, **options):
    """The raw Refer-KITTI layout."""
    images = (FramePattern, {"pattern": KITTI_IMAGES})
    return compose(root, sizes, images, (FrameLabels, {}), (ExpressionFolder, {}), options, splits)


def ikun(root, splits, sizes, **options):
    """The iKUN / FlexHook reorganisation."""
    images = (FramePattern, {"pattern": KITTI_IMAGES})
    options = {"extra_sentences": "newsent.json", **options}
    return compose(root, sizes, images, (LabelsJson, {}), (ExpressionFolder, {}), options, splits)


def kitti(root, splits, sizes, **options):
    """KITTI's tracking benchmark."""
    images = (FramePattern, {"pattern": "training/image_02/{video}/{frame:06d}.{ext}"})
    return compose(root, sizes, images, (KittiLabels, {}), None, options, splits)


def refer_dance(root, splits, sizes="*/{video}/seqinfo.ini", **options):
    """Refer-Dance over DanceTrack."""
    images = (FramePattern, {"pattern": "*/{video}/img1/{frame:08d}.{ext}", "first_frame": 1})
    expressions = (ExpressionFolder, {"first_frame": 1})
    return compose(root, sizes, images, (MotLabels, {}), expressions, options, splits)


def lamot(root, **options):
    """The source MOT17 of LaMOT."""
    folders = {"train": "annotations_v1/train/MOT17", "test": "annotations_v1/val/MOT17"}
    images = (FramePattern, {"pattern": "MOT17/*/{video}/img1/{frame:06d}.{ext}", "first_frame": 1})
    truth = (MotLabels, {"path": "MOT17/*/{video}/gt/gt.txt", "classes": {1: "pedestrian", 3: "car"}})
    sizes = options.pop("sizes", "MOT17/*/{video}/seqinfo.ini")
    return compose(root, sizes, images, truth, (LamotAnnotations, {"folders": folders}), options)
