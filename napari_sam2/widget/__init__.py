"""The panel in napari's dock. Importing it does not import torch: its worker does."""

from napari_sam2.widget.main_widget import SegmentWidget

__all__ = ["SegmentWidget"]
