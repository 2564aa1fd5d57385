"""Many small records: some kept, most dropped at once."""


def main(scale):
    kept = [{"id": i, "tags": (i, str(i)), "links": []} for i in range(int(300_000 * scale))]
    total = 0
    for i in range(int(2_000_000 * scale)):
        record = {"id": i, "pair": (i, -i)}
        total += record["pair"][0]
    assert total >= len(kept)
