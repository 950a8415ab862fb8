# Passes the output of `cargo test` through and ends with the sums of its result lines.
{ print; fflush() }
/^test result:/ { passed += $4; failed += $6; ignored += $8 }
/^skipped: / { skipped++ }
END { printf "\n%d passed, %d failed, %d ignored, %d skipped\n", passed, failed, ignored, skipped }
