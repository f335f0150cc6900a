#!/bin/sh
# Builds the native tests and runs them under AddressSanitizer with UndefinedBehaviorSanitizer, then under ThreadSanitizer.
# usage: tests/csrc/sanitize.sh [build folder]
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$source/build/sanitize}
for sanitizer in address,undefined thread; do
    echo "native tests under -fsanitize=$sanitizer"
    cmake -S "$source" -B "$build/$sanitizer" -DCMAKE_BUILD_TYPE=Release -DXTRA_NATIVE_TESTS=ON -DXTRA_SANITIZE=$sanitizer >/dev/null
    cmake --build "$build/$sanitizer" --parallel 2
    "$build/$sanitizer/xtra/csrc/xtra_native_tests"
done
