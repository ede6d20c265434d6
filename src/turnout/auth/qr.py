"""A text as a QR code in SVG: what people point an authenticator app's camera at.

ISO/IEC 18004, of which little is needed: bytes, error correction level L, versions 1 to 15 (520
bytes), and one mask. Which mask is chosen changes how well a bad camera reads, not what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ConfigError

# Level L, versions 1 to 15: error correction bytes of a block, and blocks (table 9).
_CORRECTION = (7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22)
_BLOCKS = (1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6)
_QUIET = 4  # blank modules around it
MOST_BYTES = 520  # of a text


def to_svg(text: str) -> str:
    """*text* as the SVG of a QR code.

    Raises:
        ConfigError: it is longer than 520 bytes.
    """
    modules = to_modules(text)
    size = len(modules) + 2 * _QUIET
    path = "".join(
        f"M{x + _QUIET},{y + _QUIET}h1v1h-1z" for y, row in enumerate(modules) for x, dark in enumerate(row) if dark
    )
    # Single quotes, and colours by name: clients put it into a data: URL, where # and " would end it.
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {size} {size}' shape-rendering='crispEdges'>"
        f"<path fill='white' d='M0,0h{size}v{size}h-{size}z'/><path d='{path}'/></svg>"
    )


def to_modules(text: str) -> list[list[bool]]:
    """*text* as rows of modules, True for dark."""
    data = text.encode()
    version = next((v for v in range(1, 16) if len(data) <= _capacity(v)), None)
    if version is None:
        raise ConfigError(f"{len(data)} bytes are too many for a QR code", cure="use a shorter issuer")
    grid = _Grid(version)
    grid.place(_interleaved(_codewords(data, version), version))
    return [[bool(module) for module in row] for row in grid.dark]


def _total(version: int) -> int:
    """The bytes of a version, data and correction (annex D's counting, by formula)."""
    bits = (16 * version + 128) * version + 64
    if version >= 2:
        alignments = version // 7 + 2
        bits -= (25 * alignments - 10) * alignments - 55
        if version >= 7:
            bits -= 36
    return bits // 8


def _data_bytes(version: int) -> int:
    return _total(version) - _CORRECTION[version - 1] * _BLOCKS[version - 1]


def _length_bits(version: int) -> int:
    return 8 if version < 10 else 16


def _capacity(version: int) -> int:
    return (8 * _data_bytes(version) - 4 - _length_bits(version)) // 8


def _codewords(data: bytes, version: int) -> bytes:
    """Mode, length, data, terminator and padding (section 7.4)."""
    bits = f"0100{len(data):0{_length_bits(version)}b}" + "".join(f"{byte:08b}" for byte in data)
    room = 8 * _data_bytes(version)
    bits += "0" * min(4, room - len(bits))
    bits += "0" * (-len(bits) % 8)
    whole = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return whole + (b"\xec\x11" * room)[: room // 8 - len(whole)]


def _interleaved(data: bytes, version: int) -> bytes:
    """The blocks with their correction, a byte of each in turn (section 7.6)."""
    blocks, correction = _BLOCKS[version - 1], _CORRECTION[version - 1]
    short = _total(version) // blocks - correction
    longer = _total(version) % blocks
    parts, at = [], 0
    for number in range(blocks):
        end = at + short + (number >= blocks - longer)
        parts.append(data[at:end])
        at = end
    ends = [_remainder(part, correction) for part in parts]
    mixed = [part[i] for i in range(short + 1) for part in parts if i < len(part)]
    return bytes(mixed + [end[i] for i in range(correction) for end in ends])


def _multiplied(x: int, y: int) -> int:
    """The product in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    for bit in range(7, -1, -1):
        product = (product << 1) ^ (0x11D if product & 0x80 else 0)
        if y >> bit & 1:
            product ^= x
    return product


def _remainder(data: bytes, degree: int) -> list[int]:
    """The Reed-Solomon correction of *data* (annex A)."""
    divisor, root = [0] * (degree - 1) + [1], 1
    for _ in range(degree):
        for i in range(degree):
            divisor[i] = _multiplied(divisor[i], root) ^ (divisor[i + 1] if i + 1 < degree else 0)
        root = _multiplied(root, 2)
    rest = [0] * degree
    for byte in data:
        factor = byte ^ rest.pop(0)
        rest.append(0)
        rest = [old ^ _multiplied(term, factor) for old, term in zip(rest, divisor, strict=True)]
    return rest


class _Grid:
    """The square: patterns that are always there, then the data around them."""

    def __init__(self, version: int) -> None:
        self.version, self.size = version, 17 + 4 * version
        self.dark = [[False] * self.size for _ in range(self.size)]
        self._fixed = [[False] * self.size for _ in range(self.size)]
        self._draw_timing()
        self._draw_corners()
        self._draw_alignments()
        self._draw_format()
        if version >= 7:
            self._draw_version()

    def _set(self, x: int, y: int, dark: bool) -> None:
        self.dark[y][x], self._fixed[y][x] = dark, True

    def _draw_timing(self) -> None:
        for i in range(self.size):
            self._set(6, i, i % 2 == 0)
            self._set(i, 6, i % 2 == 0)

    def _draw_corners(self) -> None:
        last = self.size - 4
        for cx, cy in ((3, 3), (last, 3), (3, last)):
            for y in range(max(0, cy - 4), min(self.size, cy + 5)):
                for x in range(max(0, cx - 4), min(self.size, cx + 5)):
                    self._set(x, y, max(abs(x - cx), abs(y - cy)) not in (2, 4))

    def _draw_alignments(self) -> None:
        places = self._alignments()
        for cx in places:
            for cy in places:
                if (cx, cy) in ((6, 6), (6, places[-1]), (places[-1], 6)):
                    continue  # a corner is there
                for y in range(cy - 2, cy + 3):
                    for x in range(cx - 2, cx + 3):
                        self._set(x, y, max(abs(x - cx), abs(y - cy)) != 1)

    def _alignments(self) -> list[int]:
        """Rows and columns of the alignment patterns (annex E, by formula)."""
        if self.version == 1:
            return []
        count = self.version // 7 + 2
        step = (self.version * 4 + count * 2 + 1) // (2 * count - 2) * 2
        return [6, *sorted(self.size - 7 - step * i for i in range(count - 1))]

    def _draw_format(self) -> None:
        """Level L and mask 0, with their correction, twice (section 7.9)."""
        bits = (0b01000 << 10 | _checked(0b01000, 10, 0x537)) ^ 0x5412
        marks = [bool(bits >> i & 1) for i in range(15)]
        first = [(8, y) for y in (0, 1, 2, 3, 4, 5, 7, 8)] + [(x, 8) for x in (7, 5, 4, 3, 2, 1, 0)]
        end = self.size - 1
        second = [(end - i, 8) for i in range(8)] + [(8, end - 14 + i) for i in range(8, 15)]
        for places in (first, second):
            for (x, y), mark in zip(places, marks, strict=True):
                self._set(x, y, mark)
        self._set(8, self.size - 8, True)

    def _draw_version(self) -> None:
        bits = self.version << 12 | _checked(self.version, 12, 0x1F25)
        for i in range(18):
            a, b = self.size - 11 + i % 3, i // 3
            self._set(a, b, bool(bits >> i & 1))
            self._set(b, a, bool(bits >> i & 1))

    def place(self, codewords: bytes) -> None:
        """Put the data into what is free, masked (sections 7.7.3 and 7.8)."""
        bits = (byte >> bit & 1 for byte in codewords for bit in range(7, -1, -1))
        for x, y in self._free():
            self.dark[y][x] = bool(next(bits, 0)) ^ ((x + y) % 2 == 0)

    def _free(self) -> Iterator[tuple[int, int]]:
        """The free places in the order of the data: pairs of columns from the right, up and down in turn."""
        for right in range(self.size - 1, 0, -2):
            column = right - 1 if right <= 6 else right
            upwards = (column + 1) & 2 == 0
            for i in range(self.size):
                y = self.size - 1 - i if upwards else i
                for x in (column, column - 1):
                    if not self._fixed[y][x]:
                        yield x, y


def _checked(value: int, degree: int, divisor: int) -> int:
    """The BCH correction of *value* (annexes C and D)."""
    rest = value
    for _ in range(degree):
        rest = (rest << 1) ^ ((rest >> (degree - 1)) * divisor)
    return rest & ((1 << degree) - 1)
