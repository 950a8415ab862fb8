//! Made-up rows, the same every time, on which a model's batched answers are compared with its single ones.
//! Must never depend on anything but the schema.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType as ArrowType, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;

use crate::error::Result;

/// `rows` rows of values of many magnitudes; doubles are null now and then.
pub fn rows(schema: &SchemaRef, rows: usize) -> Result<RecordBatch> {
    let mut numbers = SplitMix(rows as u64);
    let columns = schema.fields().iter().map(|field| column(field.data_type(), rows, &mut numbers)).collect();
    Ok(RecordBatch::try_new_with_options(
        nullable(schema),
        columns,
        &arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows)),
    )?)
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(arrow::datatypes::Schema::new(fields))
}

fn column(data_type: &ArrowType, rows: usize, numbers: &mut SplitMix) -> ArrayRef {
    match data_type {
        ArrowType::Float64 => Arc::new((0..rows).map(|_| numbers.double()).collect::<Float64Array>()),
        ArrowType::Int64 => Arc::new((0..rows).map(|_| Some((numbers.next() >> 32) as i64 % 1_000)).collect::<Int64Array>()),
        ArrowType::Boolean => Arc::new((0..rows).map(|_| Some(numbers.next() & 1 == 1)).collect::<BooleanArray>()),
        ArrowType::Utf8 => Arc::new((0..rows).map(|_| Some("")).collect::<StringArray>()),
        ArrowType::Timestamp(TimeUnit::Microsecond, None) => {
            Arc::new((0..rows).map(|_| Some((numbers.next() >> 13) as i64)).collect::<TimestampMicrosecondArray>())
        }
        other => new_null_array(other, rows),
    }
}

/// Steele, Lea and Flood 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn double(&mut self) -> Option<f64> {
        let (bits, unit) = (self.next(), (self.next() >> 11) as f64 / (1_u64 << 53) as f64);
        let magnitude = [1e-3, 1e-1, 1.0, 1e1, 1e2, 1e4][(bits % 6) as usize];
        let signed = if bits & (1 << 40) == 0 { unit } else { -unit };
        ((bits >> 48) % 16 != 0).then_some(signed * magnitude)
    }
}
