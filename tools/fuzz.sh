#!/bin/bash
# Builds the fuzz targets with coverage and AddressSanitizer, and runs each for a while.
#
#     tools/fuzz.sh [TARGET...]     SECONDS_EACH=60 by default
#
# What cargo-fuzz would do, for where it is not installed: the same flags, the same directories
# (fuzz/corpus, fuzz/artifacts). A finding is a file in fuzz/artifacts; the exit code is then 1.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never ASAN_OPTIONS=${ASAN_OPTIONS:-}
each=${SECONDS_EACH:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
build=$PWD/.build/fuzz

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzzing needs a nightly toolchain: rustup toolchain install nightly --profile minimal" >&2
    exit 2
fi

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
build() {
    RUSTFLAGS="$coverage --cfg fuzzing -Zsanitizer=address -Ccodegen-units=1" CARGO_TARGET_DIR=$build/$1 \
        cargo +nightly build --quiet --release --target "$host" --manifest-path fuzz/Cargo.toml "${@:2}"
}

# The Rust host twice: with its own pools, and with blocks of which AddressSanitizer knows.
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(gc_heap gc_heap+system-blocks allocator collector)
status=0
for target in "${targets[@]}"; do
    name=${target%+*} features=${target#"$name"}
    features=${features#+}
    build "${features:-default}" --bin "$name" ${features:+--features "$features"}
    mkdir -p "fuzz/corpus/$name" "fuzz/artifacts/$target"
    echo "== fuzz $target ($each s)"
    "$build/${features:-default}/$host/release/$name" "fuzz/corpus/$name" -max_total_time="$each" \
        -artifact_prefix="fuzz/artifacts/$target/" -max_len=4096 -timeout=60 -rss_limit_mb=4096 \
        -print_final_stats=1 -verbosity=1 2>&1 | tee "$build/$target.log" |
        grep -E "^(stat::|#.*DONE|==|SUMMARY|thread|artifact|.*panicked)|ERROR" || true
    if ! grep -q "DONE" "$build/$target.log"; then
        echo "finding in $target: see $build/$target.log"
        status=1
    fi
done
exit $status
