#!/bin/bash
# Runs the stress program for longer: with every part of wrasse turned on, and again under valgrind.
#
#     tools/stress.sh KEY PYTHON     SEEDS=5 ROUNDS=100 by default; valgrind gets a tenth of the rounds
#
# Valgrind sees what wrasse takes from the system's allocator (tables, caches, its own state). Blocks
# within wrasse's pools are one piece of memory to it; what is in them the program checks itself.
set -uo pipefail
cd "$(dirname "$0")/.."
key=$1 python=$2
seeds=${SEEDS:-5} rounds=${ROUNDS:-100}
status=0

for words in gc,alloc,trace=25 gc,alloc,tracemalloc gc,alloc,trace=25,limit=64MiB; do
    for ((seed = 1; seed <= seeds; seed++)); do
        echo "== stress (Python $key, WRASSE=$words, seed $seed)"
        WRASSE=$words "$python" tests/stress/stress.py --rounds "$rounds" --seed "$seed" || status=1
    done
done

if ! command -v valgrind >/dev/null; then
    echo "no valgrind: the stress program does not run under it"
    exit $status
fi
for words in gc,alloc,trace=25 gc,alloc,tracemalloc; do
    echo "== stress under valgrind (Python $key, WRASSE=$words)"
    WRASSE=$words valgrind --quiet --error-exitcode=99 --num-callers=30 \
        --max-stackframe=16777216 --child-silent-after-fork=yes \
        "$python" tests/stress/stress.py --rounds "$((rounds / 10))" --seed 1 --timeout 1800 || status=1
done
exit $status
