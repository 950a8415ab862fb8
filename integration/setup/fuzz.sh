#!/usr/bin/env bash
# Fuzzes by coverage, one target after the other, each for so many seconds:
#
#   fuzz.sh SECONDS [TARGET...]     definitions, parquet, records, state; all without a name
#   fuzz.sh keep [TARGET...]        adds to the kept inputs those found ones that reach what no kept one reaches
#
# What is found lies in the cache; what is kept lies in integration/fuzz/corpus, where `make test` tries it again. An
# input that breaks a target is named with how to repeat it, and the other targets still run.
set -euo pipefail

what=$1 targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(definitions parquet records state)
here=$(cd "$(dirname "$0")/.." && pwd)
cache=${FOREBAY_CACHE:-$HOME/.cache/forebay}/fuzz
binaries=${CARGO_TARGET_DIR:-$here/../target}/debug
broken=()

RUSTC_WORKSPACE_WRAPPER=$here/fuzz/coverage.sh cargo build --quiet -p forebay-fuzz

for target in "${targets[@]}"; do
  found=$cache/$target/found seeds=$cache/$target/seeds kept=$here/fuzz/corpus/$target words=$here/fuzz/dictionaries/$target
  mkdir -p "$found" "$kept" "$cache/$target/broken"
  rm -rf "$seeds"
  if [ "$what" = keep ]; then
    # What is kept is small: longer inputs are cut, and stay where they reach something even so.
    nice "$binaries/$target" -set_cover_merge=1 -max_len=1024 "$kept" "$found"
    continue
  fi
  flags=(-timeout=60 -rss_limit_mb=2048 -max_len=16384 -artifact_prefix="$cache/$target/broken/")
  [ ! -e "$words" ] || flags+=(-dict="$words")
  # The target fills it, and asks before that whether it is there.
  mkdir -p "$seeds"
  export FOREBAY_SEEDS=$seeds
  echo "== $target"
  if ! nice "$binaries/$target" "${flags[@]}" -max_total_time="$what" -print_final_stats=1 "$found" "$kept" "$seeds" 2>&1 \
    | tee "$cache/$target/log" | grep -v -E '	(NEW|REDUCE|RELOAD) |^"|###'; then
    input=$(sed -n 's/.*Test unit written to //p' "$cache/$target/log" | tail -n 1)
    # A machine that stood still for a minute looks like an input that hangs.
    if [ -n "$input" ] && "$binaries/$target" "${flags[@]}" "$input" >"$cache/$target/again" 2>&1; then
      echo "fuzz: $target ended early: $input does not break it again"
    else
      broken+=("$target: repeat with $binaries/$target $input; once it is mended, keep it in $kept")
    fi
  fi
done

if [ ${#broken[@]} -gt 0 ]; then
  printf 'fuzz: %s\n' "${broken[@]}" >&2
  exit 1
fi
