import pathlib
import tempfile

path = pathlib.Path(tempfile.mkdtemp()) / "table.csv"
path.write_text("".join(f"{n},{n * n},{n % 7}\n" for n in range(100_000, 150_000)))


def cells():
    # 6 + 1 + 11 + 1 + 1 characters.
    rows = path.read_text().splitlines()  # expect: W203 bytes~=50_000 * (LINE + 8.5)
    count = 0
    for row in rows:
        count += row.count(",") + 1
    return count


LINE = "".__sizeof__() + 20
print(cells())
