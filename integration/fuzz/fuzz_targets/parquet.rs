//! Bytes as Parquet files, until something breaks; what is promised stands in `forebay_integration::attempts`.
#![no_main]

use std::cell::RefCell;

use forebay_integration::attempts::{self, Target};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static TARGET: RefCell<Target> = RefCell::new(attempts::parquet());
}

fuzz_target!(
    init: TARGET.with_borrow(Target::write_seeds),
    |input: &[u8]| TARGET.with_borrow_mut(|target| (target.attempt)(input))
);
