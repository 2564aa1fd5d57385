import sys

fields = []
for n in range(50_000):
    fields.append("department-" + str(n % 20))  # expect: W502 bytes~=50_000 * EACH
print(fields[0], fields[-1])
EACH = sys.getsizeof("department-12")
