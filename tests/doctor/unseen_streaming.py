# A script as beginners write it: no functions, names of one letter, everything at module level.
import random
r = random.Random(1)
n = 0
a = []
while n < 120000:
    a.append(r.random())  # expect: W204 bytes~=120000*(24+8.5)
    n = n + 1
s = 0
for x in a:
    s = s + x
print(s)
b = [r.random() for i in range(120000)]
b.sort()
print(b[0], b[60000])
