#!/bin/bash
# Runs the tests of the host-independent crates and the Rust host under AddressSanitizer, and the
# Rust host's tests under valgrind. Each needs its tool: one line says which is not there.
#
#     tools/sanitize.sh RESULTS     writes asan.log and valgrind.log there, in cargo's words
set -uo pipefail
cd "$(dirname "$0")/.."
results=$1
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0
host=$(rustc -vV | sed -n 's/^host: //p')
crates=(-p wrasse -p wrasse-allocator -p wrasse-collector -p wrasse-tracer)
status=0

# Half optimised: fast enough for the long lists, and assertions are on.
half=(--config profile.dev.opt-level=1 --config profile.dev.debug=1)

if cargo +nightly --version >/dev/null 2>&1; then
    # Some tests forget objects on purpose, so leaks are none of its business here. Each object of the
    # Rust host has a block of its own (system-blocks), whose end the sanitizer knows. Messages of the
    # derive macro are those of another compiler. The optimizer merges the lines that one test of the
    # tracer tells apart. A request that is too large must be refused, not reported.
    echo "== tests under AddressSanitizer"
    RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1 PROPTEST_CASES=60 \
        CARGO_TARGET_DIR=$PWD/.build/target-asan cargo +nightly test --quiet --no-fail-fast --target "$host" "${half[@]}" \
        "${crates[@]}" --features wrasse/system-blocks,wrasse-allocator/sanity --lib --tests -- --skip mistakes_get_a_message --skip any_order_of_steps_adds_up 2>&1 |
        tee "$results/asan.log" | grep -v '^$' || status=1
else
    echo "no nightly toolchain: the tests do not run under AddressSanitizer"
fi

if command -v valgrind >/dev/null; then
    # The Rust host on its own pools. What takes longest without showing more is left out: deep lists,
    # random operations (both under AddressSanitizer above), the compiler's messages.
    echo "== tests of the Rust host under valgrind"
    built=$(CARGO_TARGET_DIR=$PWD/.build/target-valgrind cargo test --quiet "${half[@]}" -p wrasse --test all --no-run \
        --message-format=json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\/all-[^"]*\)".*/\1/p' | tail -1)
    if [ -n "$built" ]; then
        (cd crates/wrasse && valgrind --quiet --error-exitcode=99 --num-callers=30 --max-stackframe=8388608 \
            "$built" --test-threads=1 --skip deep:: --skip random:: --skip mistakes_get_a_message \
            --skip collections_are_linear --skip overflows) 2>&1 |
            tee "$results/valgrind.log" | grep -E "^test result|^==|panicked|FAILED|failed"
        [ "${PIPESTATUS[0]}" = 0 ] || status=1
    else
        echo "error: the tests do not build" | tee "$results/valgrind.log"
        status=1
    fi
else
    echo "no valgrind: the Rust host's tests do not run under it"
fi
exit $status
