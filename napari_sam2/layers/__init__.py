"""Doors to napari: layers become values here, and values become edits. No Qt, no torch."""
