"""Models small enough for tests."""

from __future__ import annotations

from napari_sam2.model.config import Sam2Config

TINY = Sam2Config(
    image_size=64,
    embed_dim=8,
    stages=(1, 1, 1, 1),
    global_att_blocks=(2,),
    window_spec=(8, 4, 4, 2),
    d_model=32,
    memory_dim=8,
    memory_layers=1,
    memory_feedforward=16,
)

REDUCED = Sam2Config(  # of the recorded reference
    image_size=256,
    embed_dim=16,
    num_heads=1,
    stages=(1, 2, 3, 1),
    global_att_blocks=(4,),
    d_model=64,
    memory_dim=16,
    memory_layers=2,
    memory_feedforward=128,
)
