# Passes the output of `cargo test … --show-output` through and ends with the sums of its result lines. Of what
# passing tests printed only the lines stay that say what was skipped.
/^successes:$/ { hidden = 1; next }
/^failures:$/ || /^test result:/ { hidden = 0 }
/^skipped: / { skipped++; print; fflush(); next }
/^test result:/ { passed += $4; failed += $6; ignored += $8 }
!hidden { print; fflush() }
END { printf "\n%d passed, %d failed, %d ignored, %d skipped\n", passed, failed, ignored, skipped }
