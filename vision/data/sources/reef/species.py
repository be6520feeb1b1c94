"""The species: each a shape, a pattern and colours; all else in a picture varies alike for all of them.

The unknown species are fixed together with the known ones: each is one known species (`nearest`) with one or
two of the three attributes replaced. None may be dropped or changed after a network has seen it.
Lengths are in body lengths (snout to tail base = 1); hues, saturations and values are in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class TailKind(StrEnum):
    """Outline of the tail fin."""

    FORKED = "forked"
    ROUNDED = "rounded"
    STRAIGHT = "straight"


class FinKind(StrEnum):
    """Where the dorsal and anal fins are highest."""

    LOW = "low"
    FRONT = "front"
    BACK = "back"


class PatternKind(StrEnum):
    """What is painted on the flanks."""

    BARS = "bars"
    SADDLES = "saddles"
    RING = "ring"
    DOTS = "dots"
    STRIPES = "stripes"
    SLANTED = "slanted"
    NET = "net"
    HALVES = "halves"
    CHEVRONS = "chevrons"
    BLOTCHES = "blotches"
    BANDS = "bands"
    PLAIN = "plain"


@dataclass(frozen=True)
class Shape:
    """The outline. `depth` is the largest height; `peak` where along the body it lies."""

    depth: float
    peak: float
    bluntness: float
    peduncle: float
    tail: TailKind
    tail_length: float
    tail_spread: float
    fin: FinKind
    fin_height: float


@dataclass(frozen=True)
class Colours:
    """Base and marking as (hue, saturation, value); `fin_hue` tints the fins."""

    base: tuple[float, float, float]
    marking: tuple[float, float, float]
    fin_hue: float


@dataclass(frozen=True)
class Species:
    """One class of the reef; `nearest` names the known species that an unknown one resembles."""

    name: str
    shape: Shape
    pattern: PatternKind
    colours: Colours
    nearest: str | None = None


_DISC = Shape(0.66, 0.46, 0.82, 0.115, TailKind.STRAIGHT, 0.20, 0.50, FinKind.BACK, 0.17)
_BANNER = Shape(0.60, 0.42, 0.86, 0.110, TailKind.STRAIGHT, 0.20, 0.48, FinKind.FRONT, 0.30)
_OVAL = Shape(0.48, 0.42, 0.66, 0.120, TailKind.FORKED, 0.27, 0.56, FinKind.LOW, 0.13)
_SPINDLE = Shape(0.29, 0.38, 0.70, 0.070, TailKind.FORKED, 0.29, 0.62, FinKind.FRONT, 0.11)
_LONG = Shape(0.36, 0.34, 0.54, 0.150, TailKind.ROUNDED, 0.21, 0.52, FinKind.LOW, 0.10)
_KITE = Shape(0.58, 0.56, 1.15, 0.085, TailKind.ROUNDED, 0.20, 0.60, FinKind.BACK, 0.30)

_GOLD = Colours((0.135, 0.72, 0.92), (0.06, 0.55, 0.17), 0.13)
_GOLD_BLUE = Colours((0.125, 0.66, 0.90), (0.62, 0.62, 0.24), 0.12)
_STEEL = Colours((0.58, 0.36, 0.78), (0.66, 0.55, 0.20), 0.58)
_STEEL_PALE = Colours((0.60, 0.50, 0.52), (0.55, 0.10, 0.97), 0.60)
_STEEL_GOLD = Colours((0.57, 0.42, 0.74), (0.13, 0.80, 0.95), 0.57)
_CORAL = Colours((0.035, 0.66, 0.88), (0.99, 0.70, 0.34), 0.03)
_CORAL_PALE = Colours((0.030, 0.68, 0.74), (0.10, 0.18, 0.96), 0.04)
_OLIVE = Colours((0.165, 0.60, 0.84), (0.30, 0.50, 0.24), 0.16)
_VIOLET = Colours((0.85, 0.72, 0.86), (0.76, 0.60, 0.24), 0.87)

_KNOWN = (
    Species("lantern_angel", _DISC, PatternKind.BARS, _GOLD),
    Species("saddle_banner", _BANNER, PatternKind.SADDLES, _STEEL),
    Species("ring_damsel", _OVAL, PatternKind.RING, _GOLD_BLUE),
    Species("star_damsel", _OVAL, PatternKind.DOTS, _STEEL_PALE),
    Species("ribbon_fusilier", _SPINDLE, PatternKind.STRIPES, _STEEL_GOLD),
    Species("ember_fusilier", _SPINDLE, PatternKind.SLANTED, _CORAL),
    Species("lattice_wrasse", _LONG, PatternKind.NET, _CORAL_PALE),
    Species("cloak_wrasse", _LONG, PatternKind.HALVES, _OLIVE),
)


def _vary(name: str, nearest: str, **changes: object) -> Species:
    base = next(species for species in _KNOWN if species.name == nearest)
    return replace(base, name=name, nearest=nearest, **changes)  # type: ignore[arg-type]


_UNKNOWN = (
    _vary("ripple_angel", "lantern_angel", pattern=PatternKind.BANDS),
    _vary("orchid_banner", "saddle_banner", colours=_VIOLET),
    _vary("kite_damsel", "ring_damsel", shape=_KITE),
    _vary("patch_damsel", "star_damsel", pattern=PatternKind.BLOTCHES),
    _vary("rose_fusilier", "ribbon_fusilier", pattern=PatternKind.PLAIN, colours=_VIOLET),
    _vary("arrow_wrasse", "lattice_wrasse", pattern=PatternKind.CHEVRONS),
)

SPECIES: dict[str, Species] = {species.name: species for species in _KNOWN + _UNKNOWN}
KNOWN_SPECIES: tuple[str, ...] = tuple(species.name for species in _KNOWN)
UNKNOWN_SPECIES: tuple[str, ...] = tuple(species.name for species in _UNKNOWN)
