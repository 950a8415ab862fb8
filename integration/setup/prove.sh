#!/usr/bin/env bash
# Random definitions over random events against the naive oracle, seed after seed, for so many minutes:
#
#   prove.sh MINUTES [FIRST_SEED]
#
# In process (orders of arrival, stored rows, trimmed history) and through the binary (online, offline, restarts, and
# definitions that change between them), built once; tests of another seed are left out, because FOREBAY_SEED would be theirs too. Ends at the first seed that fails,
# and says how to repeat it.
set -euo pipefail

minutes=$1 seed=${2:-$RANDOM$RANDOM}
end=$((SECONDS + 60 * minutes)) first=$seed log=$(mktemp) values=0
trap 'rm -f "$log"' EXIT
cd "$(dirname "$0")/.."

tests=(state_equals_oracle online_offline_oracle streams_oracle changed_definitions)
binaries=()
for test in "${tests[@]}"; do
  binary=$(cargo test -p forebay-integration --test "$test" --no-run --message-format=json 2>/dev/null \
    | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
  [ -n "$binary" ] || { echo "prove: $test is not built: cargo test -p forebay-integration --test $test --no-run says why" >&2; exit 1; }
  binaries+=("$binary")
done

while [ "$SECONDS" -lt "$end" ]; do
  : >"$log"
  for binary in "${binaries[@]}"; do
    if ! FOREBAY_SEED=$seed "$binary" --nocapture --skip another >>"$log" 2>&1; then
      cat "$log"
      echo "prove: seed $seed fails; repeat it with FOREBAY_SEED=$seed cargo test -p forebay-integration"
      exit 1
    fi
  done
  values=$((values + $(awk '/values: [0-9]+$/ { sum += $NF } END { printf "%d", sum }' "$log")))
  seed=$((seed + 1))
done
echo "prove: seeds $first to $((seed - 1)) hold, $((seed - first)) runs in $((SECONDS / 60)) minutes: $values values compared with the oracle's"
