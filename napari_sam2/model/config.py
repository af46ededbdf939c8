"""The numbers that tell one SAM 2 from another (SAM 2, arXiv:2408.00714, "Model architecture")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

BACKBONE_STRIDE = 16  # the level that prompts and memory work on
POOLED_STAGES = 3  # stages 2 to 4 halve the grid with their first block


@dataclass(frozen=True)
class Sam2Config:
    """Architecture of one model; the defaults are SAM 2.1 tiny.

    Attributes
    ----------
    image_size : int
        Side of the square model input in pixels, a multiple of 32.
    embed_dim, num_heads : int
        Width and attention heads of the first trunk stage; both double per stage.
    stages : tuple of 4 int
        Blocks per trunk stage.
    global_att_blocks : tuple of int
        Blocks (0-based, over all stages) that attend to the whole grid.
    window_spec : tuple of 4 int
        Attention window side per stage, in tokens.
    pos_embed_grid : tuple of 2 int
        Grid of the learnt background position embedding, before resizing.
    d_model : int
        Width of the neck, the prompt encoder and the mask decoder.
    memory_dim, memory_layers, memory_feedforward : int
        Width of a memory, and depth and hidden width of the memory attention.
    refiner_widths : tuple of int
        Channels of the refiner, a part that SAM 2 does not have; none without one.
    version : {"2.0", "2.1"}
        2.1 adds `no_obj_embed_spatial` and `obj_ptr_tpos_proj`.
    """

    image_size: int = 1024
    embed_dim: int = 96
    num_heads: int = 1
    stages: tuple[int, ...] = (1, 2, 7, 2)
    global_att_blocks: tuple[int, ...] = (5, 7, 9)
    window_spec: tuple[int, ...] = (8, 4, 14, 7)
    pos_embed_grid: tuple[int, int] = (7, 7)
    d_model: int = 256
    memory_dim: int = 64
    memory_layers: int = 4
    memory_feedforward: int = 2048
    refiner_widths: tuple[int, ...] = ()
    version: Literal["2.0", "2.1"] = "2.1"

    def __post_init__(self) -> None:
        if self.image_size % 32:
            raise ValueError(
                f"image_size must be a multiple of 32, got {self.image_size}. "
                "The trunk halves its stride-4 grid three times."
            )
        if len(self.stages) != 4 or len(self.window_spec) != 4:
            raise ValueError(
                f"stages and window_spec must have four entries, got {self.stages} and "
                f"{self.window_spec}. SAM 2's trunk has four stages."
            )
        if self.version not in ("2.0", "2.1"):
            raise ValueError(f"version must be '2.0' or '2.1', got {self.version!r}.")

    @property
    def feature_size(self) -> int:
        """Side of the stride-16 grid."""
        return self.image_size // BACKBONE_STRIDE

    @property
    def stage_ends(self) -> tuple[int, ...]:
        """Index of the last block of each stage."""
        return tuple(sum(self.stages[: i + 1]) - 1 for i in range(len(self.stages)))

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Trunk width per stage."""
        return tuple(self.embed_dim * 2**i for i in range(len(self.stages)))


_SIZES = {
    "tiny": Sam2Config(),
    "small": Sam2Config(stages=(1, 2, 11, 2), global_att_blocks=(7, 10, 13)),
    "base_plus": Sam2Config(
        embed_dim=112,
        num_heads=2,
        stages=(2, 3, 16, 3),
        global_att_blocks=(12, 16, 20),
        pos_embed_grid=(14, 14),
    ),
    "large": Sam2Config(
        embed_dim=144,
        num_heads=2,
        stages=(2, 6, 36, 4),
        global_att_blocks=(23, 33, 43),
        window_spec=(8, 4, 16, 8),
    ),
}

MICRO = Sam2Config(
    image_size=512,
    embed_dim=32,
    num_heads=1,
    stages=(1, 2, 5, 2),
    global_att_blocks=(4, 6),
    window_spec=(8, 8, 8, 8),
    pos_embed_grid=(7, 7),
    d_model=128,
    memory_dim=32,
    memory_layers=2,
    memory_feedforward=512,
)

CONFIGS: dict[str, Sam2Config] = {
    **{f"sam2_hiera_{size}": replace(config, version="2.0") for size, config in _SIZES.items()},
    **{f"sam2.1_hiera_{size}": config for size, config in _SIZES.items()},
    "micro": MICRO,
}


def named_config(name: str) -> Sam2Config:
    """Look a configuration up by its checkpoint name, such as "sam2.1_hiera_tiny" or "micro".

    Raises
    ------
    ValueError
        If there is no such name; the message lists those there are.
    """
    try:
        return CONFIGS[name]
    except KeyError:
        raise ValueError(
            f"No configuration is called {name!r}. Choose one of {', '.join(sorted(CONFIGS))}."
        ) from None
