#!/usr/bin/env bash
# Random definitions over random events against the naive oracle, seed after seed, for so many minutes:
#
#   prove.sh MINUTES [FIRST_SEED]
#
# In process (orders of arrival, stored rows, trimmed history) and through the binary (online, offline, restarts). Ends
# at the first seed that fails, and says how to repeat it.
set -euo pipefail

minutes=$1 seed=${2:-$RANDOM$RANDOM}
end=$((SECONDS + 60 * minutes)) first=$seed log=$(mktemp)
trap 'rm -f "$log"' EXIT

while [ "$SECONDS" -lt "$end" ]; do
  if ! FOREBAY_SEED=$seed cargo test -q -p forebay-integration --test state_equals_oracle --test online_offline_oracle --test streams_oracle >"$log" 2>&1; then
    cat "$log"
    echo "prove: seed $seed fails; repeat it with FOREBAY_SEED=$seed cargo test -p forebay-integration"
    exit 1
  fi
  seed=$((seed + 1))
done
echo "prove: seeds $first to $((seed - 1)) hold, $((seed - first)) runs in $((SECONDS / 60)) minutes"
