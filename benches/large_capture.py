"""Writes a capture file of very many tracebacks, as docs/capture.md describes it, to try readers on.

python benches/large_capture.py large.wrasse [TRACEBACKS]
"""

from __future__ import annotations

import json
import random
import struct
import sys
import zlib
from pathlib import Path

META, TABLES, SAMPLE, END, SECTION, PEAK = 1, 2, 3, 6, 7, 8
FILES, LINES = 400, 100
SAMPLES = 12


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed(number: int) -> bytes:
    """Zigzag: small numbers of either sign are short."""
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


def text(value: str) -> bytes:
    """Its length and its letters."""
    data = value.encode()
    return varint(len(data)) + data


def frame(kind: int, payload: bytes) -> bytes:
    """A payload with its head."""
    head = struct.pack("<IB3xI", len(payload), kind, zlib.crc32(payload))
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def tables(count: int, draw: random.Random) -> tuple[bytes, int]:
    """Strings, lines, calls and tracebacks; 12 to 25 frames each."""
    strings = [f"/srv/app/package{number % 20}/module{number}.py" for number in range(FILES)]
    strings += [f"function_{number}" for number in range(2000)]
    lines = FILES * LINES
    locations = [
        varint(at // LINES) + varint(FILES + 1 + (at // 20) % 2000) + varint(10 + at % LINES * 7)
        for at in range(lines)
    ]
    nodes: dict[tuple[int, int], int] = {}
    written = bytearray()
    tracebacks = bytearray()
    stack: list[int] = []
    seen: set[int] = set()
    made = 0
    while made < count:
        # The next stack shares its oldest frames with the one before, as those of programs do.
        kept = min(len(stack), draw.randint(3, 22))
        del stack[kept:]
        length = max(kept + 1, draw.randint(12, 25))
        while len(stack) < length:
            caller = stack[-1] + 1 if stack else 0
            # Few lines are at the top of a program, many at its bottom.
            at = draw.randrange(min(lines, 3 << min(len(stack), 15)))
            key = (caller, at)
            if key not in nodes:
                nodes[key] = len(nodes)
                written += varint(caller) + varint(at)
            stack.append(nodes[key])
        if stack[-1] in seen:
            continue
        seen.add(stack[-1])
        tracebacks += varint(stack[-1] + 1) + varint(length) + varint(0)
        made += 1
    payload = b"".join(
        [
            varint(len(strings)),
            *map(text, strings),
            varint(lines),
            *locations,
            varint(len(nodes)),
            written,
            varint(made),
            tracebacks,
        ]
    )
    return payload, len(nodes)


def main() -> None:
    """Write the file that was asked for."""
    path = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    draw = random.Random(1)
    values = {
        "argument": "large.py",
        "host": "CPython 3.13.0",
        "wrasse": "0",
        "frames": "25",
        "counts_allocations": "1",
        "started": "1700000000000000000",
    }
    named = [("argument", "python"), *values.items()]
    meta = varint(len(named)) + b"".join(text(name) + text(value) for name, value in named)
    head = b"\x89WRASSE\n" + struct.pack("<HH", 2, 0)
    table, calls = tables(count, draw)
    live = [draw.randrange(1, 60) for _ in range(count)]
    sizes = [int(draw.paretovariate(1.2) * 40) for _ in range(count)]
    with path.open("wb") as out:
        out.write(head + struct.pack("<I", zlib.crc32(head)))
        out.write(frame(META, meta) + frame(TABLES, table))
        blocks = total = 0
        for sample in range(1, SAMPLES + 1):
            # Every third traceback goes on growing, the others are there at once.
            which = range(0, count, 3 if sample > 1 else 1)
            changes = bytearray()
            last = 0
            for number in which:
                more = live[number]
                size = more * sizes[number]
                changes += varint(number - last) + signed(size) + signed(more)
                changes += signed(size * 2) + signed(more * 2) + signed(more) + signed(size)
                last = number
                blocks += more
                total += size
            figures = [sample * 10**9, total, total, total * 2, blocks, total * 2, blocks * 2]
            figures += [total, blocks]
            payload = b"".join(map(varint, figures)) + varint(len(which)) + bytes(changes)
            out.write(frame(SAMPLE, payload))
        peak = bytearray(varint(count))
        for number in range(count):
            factor = SAMPLES if number % 3 == 0 else 1
            peak += varint(1 if number else 0) + varint(live[number] * sizes[number] * factor)
            peak += varint(live[number] * factor)
        out.write(frame(PEAK, bytes(peak)))
        kinds = [f"package{number % 20}.Class{number}" for number in range(3000)]
        rows = [
            [number, draw.randrange(3000), live[number], live[number] * sizes[number]]
            for number in range(0, count, max(1, count // 100_000))
        ]
        typed = json.dumps({"types": kinds, "rows": rows}, separators=(",", ":")).encode()
        section = varint(1) + text("typed_blocks") + varint(len(typed)) + typed
        out.write(frame(SECTION, section))
        out.write(frame(END, struct.pack("<QII", SAMPLES * 10**9, 0, 0)))
    print(f"{path}: {count:,} tracebacks, {calls:,} calls, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
