samples = [n / 7 for n in range(300_000)]  # expect: W504 bytes~=300_000 * (24 + 8.5 - 8)
print(samples[10], samples[-1])
