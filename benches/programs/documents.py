"""Builds JSON documents, writes them to text and reads them back."""

import json


def document(size):
    return {
        "items": [
            {
                "name": f"item {i}",
                "price": i / 4,
                "stock": {"north": i, "south": None},
                "tags": ["a", "b"],
            }
            for i in range(size)
        ]
    }


def main(scale):
    for _ in range(int(16 * scale) or 1):
        source = document(20_000)
        assert json.loads(json.dumps(source)) == source
