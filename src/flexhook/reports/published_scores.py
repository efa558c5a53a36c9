"""Published scores: pooled HOTA, DetA, AssA with the published protocol."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published row; None where the source gives no number."""

    name: str
    hota: float
    deta: float | None = None
    assa: float | None = None


_V2 = (
    Published("iKUN", 10.32),
    Published("iKUN + C-Hook", 34.49),
    Published("iKUN + C-Hook + PCD", 38.62),
    Published("FlexHook (RoPE-Swin-T, RoBERTa)", 42.53, 30.63, 59.19),
    Published("FlexHook (ResNet-34, RoBERTa)", 41.50),
    Published("FlexHook (CLIP RN50)", 41.42),
    Published("FlexHook, encoders frozen", 40.86),
    Published("FlexHook, other tracker", 40.73),
    Published("TransRMOT", 31.00),
    Published("TempRMOT", 35.04),
    Published("HFF-Tracker", 36.18),
    Published("COAL", 43.46),
)
_LAMOT = (Published("FlexHook", 56.77, 47.23, 68.24), Published("LaMOTer", 48.45))

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "refer_kitti": (Published("FlexHook", 53.82, 43.35, 66.92),),
    "refer_kitti_v2": _V2,
    "refer_dance": (Published("FlexHook", 32.17, 28.36, 36.53),),
    "lamot": _LAMOT,
}


def published(dataset: str) -> tuple[Published, ...]:
    """The published rows for a dataset by its name here, whatever the layout of its files; none for other datasets."""
    return PUBLISHED.get(dataset.removesuffix("_ikun"), ())
