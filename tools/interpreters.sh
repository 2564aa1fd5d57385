#!/bin/bash
# Finds the CPython interpreters wrasse can run on.
#
#   tools/interpreters.sh            every supported interpreter, newest first
#   PYTHON=/path tools/interpreters.sh   that one only
#
# One line each on stdout: KEY=EXECUTABLE. The key names the interpreter's virtual
# environment: its version, with the distribution's name in front for one that
# lives under /usr (debian-3.11.2). What is passed over is named on stderr.
set -uo pipefail

# The distribution, as the key's prefix for an interpreter the system ships.
system_name=$(. /etc/os-release 2>/dev/null && echo "${ID:-system}")

# Prints "status version key executable" for a candidate, nothing if it does not start.
describe() {
    "$1" -c '
import os, sys
try:
    import sysconfig
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
except Exception:
    free_threaded = False
version = ".".join(map(str, sys.version_info[:3]))
implementation = getattr(getattr(sys, "implementation", None), "name", "cpython")
executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
if implementation != "cpython":
    status = "not-CPython"
elif sys.version_info[3] != "final":
    status = "not-a-release"
elif not (3, 11) <= sys.version_info[:2] <= (3, 13):
    status = "version"
elif free_threaded:
    status = "free-threaded"
else:
    status = "ok"
system = getattr(sys, "base_prefix", sys.prefix) == "/usr"
key = (sys.argv[1] + "-" if system else "") + version
print(" ".join([status, version, key, executable]))
' "$system_name" 2>/dev/null
}

candidates() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" || echo "$PYTHON"
        return
    fi
    local pyenv_root=${PYENV_ROOT:-}
    if [ -z "$pyenv_root" ] && command -v pyenv >/dev/null; then pyenv_root=$(pyenv root); fi
    printf '%s\n' "${pyenv_root:-$HOME/.pyenv}"/versions/*/bin/python
    type -aP python3.13 python3.12 python3.11 python3
    printf '%s\n' /usr/bin/python3 /usr/local/bin/python3
}

declare -A seen_path=() seen_key=()
found=() skipped=()
while IFS= read -r candidate; do
    [ -x "$candidate" ] || continue
    read -r status version key executable < <(describe "$candidate") || continue
    [ -n "${executable:-}" ] || continue
    [ -z "${seen_path[$executable]:-}" ] || continue
    seen_path[$executable]=1
    case $status in
        ok)
            # A second installation of the same version would share the key: the first one stands for both.
            if [ -n "${seen_key[$key]:-}" ]; then
                skipped+=("$executable (same version as ${seen_key[$key]})")
            else
                seen_key[$key]=$executable
                found+=("$version $key=$executable")
            fi ;;
        version) skipped+=("$version") ;;
        *) skipped+=("$version ($status)") ;;
    esac
done < <(candidates)

if [ ${#skipped[@]} -gt 0 ]; then
    list=$(printf ', %s' "${skipped[@]}")
    echo "wrasse supports CPython 3.11, 3.12 and 3.13 (with the GIL); passed over: ${list:2}" >&2
fi
[ ${#found[@]} -gt 0 ] || exit 1
printf '%s\n' "${found[@]}" | sort -t' ' -k1,1Vr -s | cut -d' ' -f2
