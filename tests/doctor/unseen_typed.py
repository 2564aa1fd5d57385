from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Iterable, Iterator


@dataclasses.dataclass(slots=True, frozen=True)
class Reading:
    sensor: str
    value: float


def readings(count: int) -> Iterator[Reading]:
    yield from (Reading("a" if n % 3 else "b", n / 7) for n in range(count))


def histogram(source: Iterable[Reading]) -> Counter[str]:
    return Counter(reading.sensor for reading in source)


def hottest(count: int) -> float:
    # Slots for two: 16 + 16 and the collector's 16; the float 24.
    return max([reading for reading in readings(count) if reading.value >= 0.0], key=lambda each: each.value).value  # expect: W201 bytes~=80_000 * (48 + 24 + 8.5)


def main() -> None:
    batch: list[Reading] = list(readings(80_000))
    print(len(batch), histogram(batch), hottest(80_000))


if __name__ == "__main__":
    main()
