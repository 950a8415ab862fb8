//! Made-up rows, the same every time. Must never depend on anything but what the model takes and the texts that it knows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType as ArrowType, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::Result;
use crate::plan::Feeding;

/// What the values of a row are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Small numbers, the first row all zeros, the second all ones: what a network was trained on, and ids that there are.
    Ordinary,
    /// Many magnitudes.
    Wide,
    /// The same, and doubles are null now and then.
    Gaps,
}

pub const FLAVOURS: [Flavour; 3] = [Flavour::Ordinary, Flavour::Wide, Flavour::Gaps];

/// 2024-01-01T00:00:00Z
const TIME: i64 = 1_704_067_200_000_000;

/// `count` rows. `categories` are texts that the model knows, in groups: the first column of texts takes most of its texts
/// from the first group, and so on.
pub fn rows(schema: &SchemaRef, feeding: &Feeding, categories: &[Vec<String>], flavour: Flavour, count: usize) -> Result<RecordBatch> {
    let mut maker = Maker { numbers: SplitMix(flavour as u64 + 7), flavour, categories, texts: 0 };
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (place, field) in schema.fields().iter().enumerate() {
        let fed = feeding.inputs.iter().flat_map(|input| &input.columns).find(|column| column.place == place);
        columns.push(match (field.data_type(), fed.and_then(|column| column.items)) {
            (ArrowType::List(item), Some(items)) => {
                let values = maker.column(item.data_type(), count, items);
                let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(items, count));
                Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, None)?) as ArrayRef
            }
            (data_type, _) => maker.column(data_type, count, 1),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

struct Maker<'a> {
    numbers: SplitMix,
    flavour: Flavour,
    categories: &'a [Vec<String>],
    /// Columns of texts so far.
    texts: usize,
}

impl Maker<'_> {
    /// `items` values for each of `count` rows.
    fn column(&mut self, data_type: &ArrowType, count: usize, items: usize) -> ArrayRef {
        let rows = (0..count * items).map(|index| index / items);
        match data_type {
            ArrowType::Float64 => Arc::new(rows.map(|row| self.double(row)).collect::<Float64Array>()),
            ArrowType::Int64 => Arc::new(rows.map(|row| Some(self.integer(row))).collect::<Int64Array>()),
            ArrowType::Boolean => Arc::new(rows.map(|row| Some(self.integer(row) & 1 == 1)).collect::<BooleanArray>()),
            ArrowType::Timestamp(TimeUnit::Microsecond, None) => {
                let time = |_| Some(TIME + (self.numbers.next() >> 19) as i64);
                Arc::new(rows.map(time).collect::<TimestampMicrosecondArray>())
            }
            ArrowType::Utf8 => {
                let own = self.texts;
                self.texts += 1;
                Arc::new(rows.map(|row| Some(self.text(own, row))).collect::<StringArray>())
            }
            other => new_null_array(other, count * items),
        }
    }

    fn double(&mut self, row: usize) -> Option<f64> {
        let (bits, unit) = (self.numbers.next(), (self.numbers.next() >> 11) as f64 / (1_u64 << 53) as f64);
        let signed = if bits & (1 << 40) == 0 { unit } else { -unit };
        match self.flavour {
            Flavour::Ordinary if row < 2 => Some(row as f64),
            Flavour::Ordinary if row.is_multiple_of(2) => Some((bits % 8) as f64),
            Flavour::Ordinary => Some(signed),
            _ => {
                let magnitude = [1e-3, 1e-1, 1.0, 1e1, 1e2, 1e4][(bits % 6) as usize];
                let is_gap = self.flavour == Flavour::Gaps && (bits >> 48).is_multiple_of(16);
                (!is_gap).then_some(signed * magnitude)
            }
        }
    }

    fn integer(&mut self, row: usize) -> i64 {
        let number = self.numbers.next() >> 32;
        match self.flavour {
            Flavour::Ordinary if row < 2 => row as i64,
            Flavour::Ordinary => (number % 8) as i64,
            _ => (number % 100) as i64,
        }
    }

    fn text(&mut self, column: usize, row: usize) -> String {
        let number = (self.numbers.next() >> 32) as usize;
        if self.categories.is_empty() {
            return if row == 0 { String::new() } else { format!("w{}", number % 8) };
        }
        let groups = self.categories.len();
        let group = &self.categories[if row.is_multiple_of(4) { number % groups } else { column % groups }];
        group.get(number % group.len().max(1)).cloned().unwrap_or_default()
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
}
