//! The types of the language and single values of them. Must never do arithmetic: that is `aggregate`'s.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// A type of the language. Its Arrow form is `DataType::arrow`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// `boolean`
    Bool,
    /// `bigint`: 64 bits, signed, exact
    Int,
    /// `double`: IEEE 754, 64 bits
    Float,
    /// `text`: UTF-8
    Text,
    /// `timestamp`: microseconds since the epoch, UTC
    Timestamp,
    /// An ordered list, such as `last_n` gives
    List(Box<DataType>),
    /// Values by text keys, such as features with `by` give
    Map(Box<DataType>),
    /// Named fields in their order, as in the lists that `collect` gives
    Struct(Vec<(String, DataType)>),
}

impl DataType {
    /// The Arrow type that columns of this type have everywhere: event batches, vectors, Parquet.
    #[must_use]
    pub fn arrow(&self) -> ArrowType {
        match self {
            Self::Bool => ArrowType::Boolean,
            Self::Int => ArrowType::Int64,
            Self::Float => ArrowType::Float64,
            Self::Text => ArrowType::Utf8,
            Self::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            Self::List(item) => ArrowType::List(Arc::new(Field::new("item", item.arrow(), true))),
            // Named as Parquet asks.
            Self::Map(value) => {
                let entry = vec![Field::new("key", ArrowType::Utf8, false), Field::new("value", value.arrow(), true)];
                ArrowType::Map(Arc::new(Field::new("key_value", ArrowType::Struct(entry.into()), false)), false)
            }
            Self::Struct(fields) => ArrowType::Struct(fields.iter().map(|(name, field)| Field::new(name, field.arrow(), true)).collect()),
        }
    }

    /// Whether it is neither a list nor a map nor a struct.
    #[must_use]
    pub fn is_single(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Map(_) | Self::Struct(_))
    }

    #[must_use]
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }
}

/// The spelling of the language.
impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("boolean"),
            Self::Int => f.write_str("bigint"),
            Self::Float => f.write_str("double"),
            Self::Text => f.write_str("text"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::List(item) => write!(f, "{item}[]"),
            Self::Map(value) => write!(f, "map of {value}"),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, field)| format!("{name} {field}")).collect();
                write!(f, "struct({})", fields.join(", "))
            }
        }
    }
}

/// One value. Equality is of bits for doubles: see `same_bits`.
#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    /// Microseconds since the epoch.
    Timestamp(i64),
    List(Arc<[Value]>),
    /// Sorted by key, each key once.
    Map(Arc<[(Arc<str>, Value)]>),
    /// In the order of its type's fields.
    Struct(Arc<[(Arc<str>, Value)]>),
}

impl Value {
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether both are the same to the bit: NaN equals the same NaN, and 0.0 differs from -0.0.
    #[must_use]
    pub fn same_bits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same_bits(b)),
            (Self::Map(a), Self::Map(b)) | (Self::Struct(a), Self::Struct(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.0 == b.0 && a.1.same_bits(&b.1))
            }
            _ => false,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.same_bits(other)
    }
}

impl Eq for Value {}
