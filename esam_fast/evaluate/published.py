"""The tables of the paper (Zhang et al., ICCV 2025), and of the methods it compares with, as data."""

from __future__ import annotations

Row = tuple[float | None, float | None, float | None]

# Table 1: EntitySeg, AP^e AP50 AP75.
TABLE1: dict[str, Row] = {
    "SAM ViT-B": (13.7, 19.1, 13.4),
    "SAM ViT-L": (19.7, 28.8, 18.9),
    "SAM ViT-H": (20.1, 32.9, 19.4),
    "Semantic-SAM Swin-T": (16.1, 22.7, 16.4),
    "Semantic-SAM Swin-L": (17.0, 24.6, 17.2),
    "Mask-RCNN": (28.4, 49.2, 28.1),
    "EntityFramework": (29.9, 47.6, 30.1),
    "Mask2Former Swin-T": (40.9, 58.1, 41.6),
    "Mask2Former Swin-L": (46.2, 63.7, 47.5),
    "CropFormer Swin-T": (42.7, 59.7, 43.8),
    "CropFormer Swin-L": (48.0, 65.3, 49.3),
    "E-SAM ViT-B": (40.1, 57.8, 38.9),
    "E-SAM ViT-L": (45.9, 62.7, 45.3),
    "E-SAM ViT-H": (50.2, 66.8, 49.9),
}

# Table 2: EntitySeg-LR, AP_L^e.
TABLE2: dict[str, Row] = {
    "SAM ViT-B": (10.5, None, None),
    "SAM ViT-L": (17.3, None, None),
    "SAM ViT-H": (17.0, None, None),
    "SAM ViT-B, object level": (12.2, None, None),
    "SAM ViT-L, object level": (21.6, None, None),
    "SAM ViT-H, object level": (23.7, None, None),
    "Mask2Former Swin-T": (38.8, None, None),
    "Mask2Former Swin-L": (44.4, None, None),
    "CropFormer Swin-T": (40.6, None, None),
    "CropFormer Swin-L": (45.8, None, None),
    "E-SAM ViT-B": (35.8, None, None),
    "E-SAM ViT-L": (43.6, None, None),
    "E-SAM ViT-H": (48.9, None, None),
}

# Table 3: modules, ViT-L, EntitySeg-LR, AP AP50 AP75. M: MMG, E: EMR, U: USR.
TABLE3: dict[str, Row] = {
    "none": (17.3, 23.1, 18.0),
    "M": (20.3, 40.4, 19.7),
    "E": (29.5, 50.6, 29.1),
    "U": (22.7, 31.4, 23.0),
    "E+U": (40.8, 57.4, 40.1),
    "M+U": (38.1, 54.9, 37.2),
    "M+E": (35.0, 54.1, 35.4),
    "M+E+U": (43.6, 60.8, 43.1),
}

# Table 4: AP of settings, ViT-L, EntitySeg-LR; keys as in `ablation.TABLE4`.
TABLE4: dict[str, Row] = {
    **{f"theta_O={k}": (v, None, None) for k, v in {0.7: 19.5, 0.75: 19.8, 0.8: 20.3, 0.9: 19.6}.items()},
    **{f"gamma_O={k}": (v, None, None) for k, v in {0.3: 17.6, 0.6: 20.3, 0.9: 18.2, 1.0: 19.6}.items()},
    **{f"delta={k}": (v, None, None) for k, v in {0.01: 34.1, 0.05: 35.0, 0.1: 34.4, 0.2: 33.8}.items()},
    **{f"tau={k}": (v, None, None) for k, v in {0.0: 34.1, 0.05: 34.5, 0.1: 35.0, 0.2: 34.2}.items()},
    **{f"rho={k}": (v, None, None) for k, v in {0.0: 43.4, 0.1: 43.6, 0.3: 42.9, 0.5: 42.6}.items()},
    **{f"points={k}": (v, None, None) for k, v in {"16/16": 39.8, "16/32": 41.9, "16/64": 42.5, "32/64": 43.6}.items()},
}

# Table 5: millions of parameters, seconds for a high-resolution image.
TABLE5: dict[str, tuple[float | None, float]] = {
    "Mask2Former": (234, 0.26),
    "EntityFramework": (None, 0.34),
    "CropFormer": (234, 1.08),
    "E-SAM ViT-H": (636, 9.84),
}

# Table 5, E-SAM's stages in seconds; "encoder stage" must hold the prompt decodings too.
TABLE5_STAGES = {"encoder stage": 5.89, "MMG": 1.22, "EMR": 1.58, "USR": 1.15}
