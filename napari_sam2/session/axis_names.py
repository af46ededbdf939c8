"""What file formats call axes and units, and what people call them."""

from __future__ import annotations

from collections.abc import Sequence

MAX_AXES = 5
NGFF_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
_AXES = {
    "t": ("t", "time", "frame", "frames", "timepoint"),
    "c": ("c", "channel", "channels", "ch"),
    "z": ("z", "depth", "plane", "slice"),
}
_UNITS = {  # name in UDUNITS and in OME-NGFF: short name, and what else people write
    "nanometer": ("nm", "nanometre", "nanometers", "nanometres"),
    "micrometer": ("um", "µm", "\u03bcm", "micron", "microns", "micrometre", "micrometers"),
    "millimeter": ("mm", "millimetre", "millimeters", "millimetres"),
    "centimeter": ("cm", "centimetre", "centimeters", "centimetres"),
    "meter": ("m", "metre", "meters", "metres"),
    "angstrom": ("\u00c5", "ångström", "Angstrom", "angstroms"),
    "millisecond": ("ms", "milliseconds"),
    "second": ("s", "sec", "seconds"),
    "minute": ("min", "minutes"),
    "hour": ("h", "hr", "hours"),
}
_FULL = {alias: name for name, aliases in _UNITS.items() for alias in (name, *aliases)}


def axis_letters(names: Sequence[str]) -> tuple[str, ...]:
    """Give each axis its letter among t, c, z, y, x; the last two are y and x.

    Parameters
    ----------
    names : sequence of str
        The user's names, at most five. Those that tell nothing get what is left of z, t and c,
        from the plane outwards.
    """
    known = {alias: letter for letter, aliases in _AXES.items() for alias in aliases}
    letters: list[str] = []
    for name in names[:-2]:
        letter = known.get(name.lower(), "")
        letters.append(letter if letter not in letters else "")
    left = [letter for letter in "ctz" if letter not in letters]
    for axis in reversed(range(len(letters))):
        letters[axis] = letters[axis] or left.pop()
    return (*letters, "y", "x")


def full_unit(unit: str) -> str:
    """Give "micrometer" for "µm"; empty for pixels and for what is no unit that we know."""
    return _FULL.get(unit.strip(), "")


def short_unit(unit: str) -> str:
    """Give "um" for "micrometer"; "pixel" where there is no unit that we know."""
    name = full_unit(unit)
    return _UNITS[name][0] if name else "pixel"
