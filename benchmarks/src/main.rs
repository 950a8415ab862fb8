//! Benchmarks of the payments workload, end to end: `make bench`. Prints a table, and the same as one line of JSON.
//!
//! `forebay-benchmarks [EVENTS]` (default 1,000,000; `curves` for costs that must not grow and what keys take, `bytes` for
//! the latter alone, `killed [KEYS]` for starts after `kill -9`, `crowd [SECONDS]` for small lookups beside long ones,
//! `soak [MINUTES [EVENTS A SECOND]]` for a server left alone, `checkpoint [KEYS]` for copies and the way back): ingest
//! from the embedded log and from Kafka, lookups in process and over HTTP, a training set, a
//! scored event. What is missing (Java, `wrk`, a trained model) is said and left out.

mod bytes;
mod checkpoint;
mod crowd;
mod curves;
mod figures;
mod ingest;
mod killed;
mod lookup;
mod score;
mod setting;
mod soak;
mod training;

use figures::Figures;
use setting::Setting;

/// The allocator of the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> forebay::Result<()> {
    forebay::allocator::keep_freed_memory();
    let argument = std::env::args().nth(1);
    let mut figures = Figures::default();
    match argument.as_deref() {
        Some("curves") => {
            curves::curves(&mut figures)?;
            bytes::bytes(&mut figures)?;
            figures.print();
            return Ok(());
        }
        Some("bytes") => {
            bytes::bytes(&mut figures)?;
            figures.print();
            return Ok(());
        }
        Some("checkpoint") => {
            let keys = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(3_000_000);
            checkpoint::checkpoint(&mut figures, keys)?;
            figures.print();
            return Ok(());
        }
        Some("killed") => {
            let keys = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
            killed::killed(&mut figures, keys)?;
            figures.print();
            return Ok(());
        }
        Some("crowd") => {
            let seconds = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(20);
            crowd::crowd(&mut figures, seconds)?;
            figures.print();
            return Ok(());
        }
        Some("soak") => {
            let number = |place: usize, default| std::env::args().nth(place).and_then(|text| text.parse().ok()).unwrap_or(default);
            soak::soak(&mut figures, number(2, 60), number(3, 3_000))?;
            figures.print();
            return Ok(());
        }
        _ => {}
    }
    let events = argument.and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let setting = Setting::new(events, 100_000)?;
    ingest::decode(&setting, &mut figures)?;
    let (_, engine) = ingest::embedded(&setting, &setting.config)?;
    lookup::in_process(&setting, &engine, &mut figures)?;
    lookup::http(&setting, &engine, &mut figures)?;
    engine.stop()?;
    drop(engine);
    ingest::restart(&setting, &mut figures)?;
    training::training_set(&setting, &mut figures)?;
    score::score(&mut figures)?;
    ingest::in_turns(&setting, &mut figures, "100k")?;
    drop(setting);
    ingest::in_turns(&Setting::new(events, 1_000_000)?, &mut figures, "1M")?;
    figures.print();
    Ok(())
}
