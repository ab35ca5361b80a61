"""ICC profiles of colours that a file states by numbers (ICC.1:2001-04).

A profile consists of three primaries, a white point, and a curve from stored values to light.
"""

import math
import struct
from collections.abc import Callable
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
Primaries: TypeAlias = tuple[Point, Point, Point, Point]
"""CIE 1931 x and y of red, green, blue and white."""

Curve: TypeAlias = Callable[[float], float]
"""From a stored value to light, both 0 to 1."""

_Vector: TypeAlias = tuple[float, float, float]
_Matrix: TypeAlias = tuple[_Vector, _Vector, _Vector]

_D65 = (0.3127, 0.3290)
SRGB_PRIMARIES: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_ADOBE_PRIMARIES: Primaries = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
# ITU-T H.273, table 2.
_PRIMARIES: dict[int, Primaries] = {
    1: SRGB_PRIMARIES,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_UNSPECIFIED = 2
# Video encoders state these for pictures whose colours they were not told: such pictures are sRGB.
_VIDEO_PRIMARIES = frozenset({1, 2, 5, 6, 7})
_VIDEO_TRANSFERS = frozenset({1, 2, 6, 7, 14, 15})

_CURVE_ENTRIES = 4096
_POSSIBLE = range(-2, 4)
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


def numbered_profile(primaries: int, transfer: int) -> bytes | None:
    """Return the profile of numbers from ITU-T H.273, tables 2 and 3.

    Returns:
        `None` for sRGB, and for unknown numbers.
    """
    if primaries in _VIDEO_PRIMARIES and transfer in _VIDEO_TRANSFERS:
        return None
    curve = srgb_curve if transfer == _UNSPECIFIED else _CURVES.get(transfer)
    points = SRGB_PRIMARIES if primaries == _UNSPECIFIED else _PRIMARIES.get(primaries)
    if curve is None or points is None or (points is SRGB_PRIMARIES and curve is srgb_curve):
        return None
    return profile(points, curve)


def adobe_rgb_profile() -> bytes | None:
    """Return the profile of Adobe RGB (1998)."""
    return profile(_ADOBE_PRIMARIES, gamma_curve(563 / 256))


def profile(primaries: Primaries, curve: Curve) -> bytes | None:
    """Return the ICC profile of primaries and a curve; `None` for impossible primaries."""
    try:
        columns = _adapted(primaries)
        is_possible = all(int(value) in _POSSIBLE for column in columns for value in column)
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    if not is_possible:
        return None
    last = _CURVE_ENTRIES - 1
    entries = [round(65_535 * curve(number / last)) for number in range(_CURVE_ENTRIES)]
    curve_tag = b"curv" + struct.pack(f">4xI{_CURVE_ENTRIES}H", _CURVE_ENTRIES, *entries)
    return _file(
        {
            b"desc": b"desc" + struct.pack(">4xI", 7) + b"stated\0" + bytes(78),
            b"cprt": b"text" + bytes(4) + b"none\0",
            b"wtpt": _xyz(_D50),
            **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, columns), strict=True)),
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve_tag),
        }
    )


# --- curves ---


def srgb_curve(value: float) -> float:
    """Return the light of a value in sRGB (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004


def gamma_curve(gamma: float) -> Curve:
    """Return a power curve."""
    return lambda value: float(value**gamma)


def _bt709_curve(value: float) -> float:
    return value / 4.5 if value < 0.081 else float(((value + 0.099) / 1.099) ** (1 / 0.45))  # noqa: PLR2004


def _pq_curve(value: float) -> float:
    """ITU-R BT.2100 PQ; light brighter than white paper (203 cd/m², BT.2408) becomes white."""
    root = value ** (1 / 78.84375)
    light = max(0.0, root - 0.8359375) / (18.8515625 - 18.6875 * root)
    return float(min(1.0, light ** (1 / 0.1593017578125) * 10_000 / 203))


def _hlg_curve(value: float) -> float:
    """ITU-R BT.2100 HLG on a display of 1000 cd/m²; see `_pq_curve`."""
    if value <= 0.5:  # noqa: PLR2004 - BT.2100, table 5, also the numbers below
        scene = value * value / 3
    else:
        scene = (math.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return min(1.0, float(scene**1.2) * 1000 / 203)


def _dcinema_curve(value: float) -> float:
    return min(1.0, float(value**2.6) * 52.37 / 48)


_CURVES: dict[int, Curve] = {  # ITU-T H.273, table 3
    **dict.fromkeys((1, 6, 11, 14, 15), _bt709_curve),
    4: gamma_curve(2.2),
    5: gamma_curve(2.8),
    8: gamma_curve(1.0),
    13: srgb_curve,
    16: _pq_curve,
    17: _dcinema_curve,
    18: _hlg_curve,
}


# --- the file ---


def _file(tags: dict[bytes, bytes]) -> bytes:
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    for name, content in tags.items():
        if content not in places:
            places[content] = offset + len(data)
            data += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, places[content], len(content))
    size, version = offset + len(data), 0x0240_0000
    header = struct.pack(">I4xI4s4s4s12x4s28x", size, version, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return header + _fixed(_D50) + bytes(48) + table + data


def _xyz(colour: _Vector) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(colour)


def _fixed(values: _Vector) -> bytes:
    return struct.pack(">3i", *(round(value * 65_536) for value in values))


# --- from primaries to the profile's XYZ ---


def _adapted(primaries: Primaries) -> list[_Vector]:
    """Return the XYZ of red, green and blue, adapted to the profile's white, D50 (Bradford)."""
    red, green, blue, white = (_tristimulus(point) for point in primaries)
    shares = _times(_inverse(_transposed((red, green, blue))), white)
    cones, target = _times(_BRADFORD, white), _times(_BRADFORD, _D50)
    adapted = []
    for (x, y, z), share in zip((red, green, blue), shares, strict=True):
        cone = _times(_BRADFORD, (x * share, y * share, z * share))
        a, b, c = (value * to / at for value, to, at in zip(cone, target, cones, strict=True))
        adapted.append(_times(_inverse(_BRADFORD), (a, b, c)))
    return adapted


def _tristimulus(point: Point) -> _Vector:
    x, y = point
    return x / y, 1.0, (1 - x - y) / y


def _times(matrix: _Matrix, vector: _Vector) -> _Vector:
    a, b, c = (sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix)
    return a, b, c


def _transposed(matrix: _Matrix) -> _Matrix:
    a, b, c = zip(*matrix, strict=True)
    return a, b, c


def _inverse(matrix: _Matrix) -> _Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    size = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (
        ((e * i - f * h) / size, (c * h - b * i) / size, (b * f - c * e) / size),
        ((f * g - d * i) / size, (a * i - c * g) / size, (c * d - a * f) / size),
        ((d * h - e * g) / size, (b * g - a * h) / size, (a * e - b * d) / size),
    )
