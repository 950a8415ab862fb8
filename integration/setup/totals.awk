# Passes the output of `cargo test … -- --show-output --report-time` through and ends with the ten slowest tests and the sums of
# its result lines. Of what passing tests printed only the lines stay that say what was skipped.
/^ +Running / { binary = $2; sub(/.*\//, "", binary); sub(/\.rs$/, "", binary) }
/^test .* <[0-9.]+s>$/ { seconds = $NF; gsub(/[<s>]/, "", seconds); times[binary " " $2] = seconds + 0 }
/^successes:$/ { hidden = 1; next }
/^failures:$/ || /^test result:/ { hidden = 0 }
/^skipped: / { skipped++; print; fflush(); next }
/^test result:/ { passed += $4; failed += $6; ignored += $8 }
!hidden { print; fflush() }
END {
  printf "\nslowest:\n"
  for (place = 1; place <= 10; place++) {
    slowest = ""
    for (test in times) if (slowest == "" || times[test] > times[slowest]) slowest = test
    if (slowest == "") break
    printf "%8.1f s  %s\n", times[slowest], slowest
    delete times[slowest]
  }
  printf "\n%d passed, %d failed, %d ignored, %d skipped\n", passed, failed, ignored, skipped
}
