#!/usr/bin/env bash
# A compiler for cargo's RUSTC_WORKSPACE_WRAPPER that makes the crate `forebay` tell libFuzzer which of its edges an
# input took and what it compared. Everything else comes as it is, so that no dependency is built anew.
set -euo pipefail

case " $* " in
*" --crate-name forebay "*" --crate-type lib "*)
  exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Copt-level=1 -Cdebug-assertions
  ;;
*) exec "$@" ;;
esac
