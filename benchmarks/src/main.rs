//! Benchmarks of Forebay, side by side with the ceilings of the machine they run on.

fn main() {}
