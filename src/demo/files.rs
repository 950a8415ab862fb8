//! Made-up payments as files: what `push` takes, and the chargebacks that training makes its labels of.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::payments::{Generator, Options};
use crate::error::{Error, Result};

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub payments: u64,
    pub chargebacks: u64,
}

/// Writes `payments.ndjson`, in the order of arrival, and `chargebacks.ndjson`, in the order of the payments, to a
/// folder that is made if need be.
pub fn write(folder: &Path, options: Options) -> Result<Written> {
    let failed = |error: std::io::Error| Error::unavailable(format!("cannot write payments to {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let create = |name: &str| File::create(folder.join(name)).map(BufWriter::new).map_err(failed);
    let (mut payments, mut chargebacks) = (create("payments.ndjson")?, create("chargebacks.ndjson")?);
    let mut written = Written::default();
    let mut line = Vec::with_capacity(256);
    let mut charged_back = HashSet::new();
    for payment in Generator::new(options) {
        put(&mut payments, &mut line, |line| payment.to_json(line)).map_err(failed)?;
        written.payments += 1;
        // A payment that arrives twice is charged back once.
        if let Some(chargeback) = payment.chargeback()
            && charged_back.insert(chargeback.payment)
        {
            put(&mut chargebacks, &mut line, |line| chargeback.to_json(line)).map_err(failed)?;
            written.chargebacks += 1;
        }
    }
    payments.flush().and_then(|()| chargebacks.flush()).map_err(failed)?;
    Ok(written)
}

fn put(file: &mut impl Write, line: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> std::io::Result<()> {
    line.clear();
    write(line);
    line.push(b'\n');
    file.write_all(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_one_line_per_payment_and_each_chargeback_once() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { duplicates: 0.2, ..Options::fraud(5, 20_000) };
        let written = write(&folder.path().join("made"), options).unwrap();
        let lines = |name: &str| -> Vec<String> {
            let text = fs::read_to_string(folder.path().join("made").join(name)).unwrap();
            text.lines().map(str::to_owned).collect()
        };
        let (payments, chargebacks) = (lines("payments.ndjson"), lines("chargebacks.ndjson"));
        assert_eq!(written, Written { payments: payments.len() as u64, chargebacks: chargebacks.len() as u64 });
        assert_eq!(payments.len(), 20_000);
        let once: HashSet<&str> = chargebacks.iter().map(|line| &line[..28]).collect();
        assert!(chargebacks.len() > 50 && once.len() == chargebacks.len());
        let mean = payments.iter().map(String::len).sum::<usize>() / payments.len();
        assert!((150..180).contains(&mean), "{mean}");
    }
}
