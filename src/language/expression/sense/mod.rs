//! Functions, operators and casts in PostgreSQL's sense, where DataFusion has them in another or has none. Each is computed
//! from columns, so that a constant is never read in another way than a column. Must never give a row a value that depends
//! on other rows; what they give must never change, because identities hold their names alone.

mod casts;
mod elements;
mod numbers;
mod order;
mod patterns;
mod text_forms;
mod texts;
mod times;
mod to_char;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use datafusion::common::{DataFusionError, plan_err};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

pub(super) use order::{LENGTH, ONE_FORM, common, has_doubles};
pub(super) use patterns::{PLAIN, foreign, is_pattern};
pub(super) use text_forms::is_value;
pub(super) use times::{FIELDS, SECONDS_OF, is_winter_time, part, zone};
pub(super) use to_char::format as time_format;

/// A function as it is computed.
#[derive(Debug)]
pub(super) struct Sense {
    name: &'static str,
    takes: &'static [Takes],
    /// How many arguments it has at least.
    least: usize,
    /// Whether the last argument may be repeated.
    repeats: bool,
    gives: fn(&[ArrowType]) -> Result<ArrowType, DataFusionError>,
    compute: fn(&[ArrayRef]) -> Result<ArrayRef, DataFusionError>,
}

/// What an argument is made before a function sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// A bigint or a double, as it comes.
    Number,
    Double,
    Integer,
    Text,
    Time,
    Any,
}

/// A function of that name.
const fn sense(
    name: &'static str,
    takes: &'static [Takes],
    gives: fn(&[ArrowType]) -> Result<ArrowType, DataFusionError>,
    compute: fn(&[ArrayRef]) -> Result<ArrayRef, DataFusionError>,
) -> Sense {
    Sense { name, takes, least: takes.len(), repeats: false, gives, compute }
}

impl Sense {
    /// The last so many arguments may be left out.
    const fn optional(self, count: usize) -> Self {
        Self { least: self.least - count, ..self }
    }

    const fn repeating(self) -> Self {
        Self { repeats: true, ..self }
    }
}

static PARTS: &[&[Sense]] =
    &[casts::SENSES, elements::SENSES, numbers::SENSES, order::SENSES, patterns::SENSES, texts::SENSES, times::SENSES];

static PLANNED: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let planned = |sense| Arc::new(ScalarUDF::new_from_impl(Planned { sense, signature: Signature::user_defined(Volatility::Immutable) }));
    PARTS.iter().flat_map(|part| part.iter()).map(planned).collect()
});

/// All of them, as DataFusion plans them.
pub(super) fn all() -> impl Iterator<Item = Arc<ScalarUDF>> {
    PLANNED.iter().cloned()
}

/// The function of that name, where it is one of these.
pub(super) fn of(name: &str) -> Option<&'static Arc<ScalarUDF>> {
    PLANNED.iter().find(|planned| planned.name() == name)
}

/// A call of one of these.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr, DataFusionError> {
    of(name).map_or_else(|| plan_err!("there is no function `{name}`"), |planned| Ok(planned.call(arguments)))
}

#[derive(Debug)]
struct Planned {
    sense: &'static Sense,
    signature: Signature,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.sense.name == other.sense.name
    }
}

impl Eq for Planned {}

impl Hash for Planned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sense.name.hash(state);
    }
}

impl ScalarUDFImpl for Planned {
    fn name(&self) -> &str {
        self.sense.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[ArrowType]) -> Result<ArrowType, DataFusionError> {
        (self.sense.gives)(&self.coerce_types(given)?)
    }

    fn coerce_types(&self, given: &[ArrowType]) -> Result<Vec<ArrowType>, DataFusionError> {
        let Sense { name, takes, least, repeats, .. } = self.sense;
        if given.len() < *least || given.len() > takes.len() && !repeats {
            return plan_err!("`{name}` does not take {} arguments", given.len());
        }
        let coerced = given.iter().enumerate().map(|(index, given)| match takes.get(index).or(takes.last()) {
            Some(Takes::Number) if given.is_integer() => ArrowType::Int64,
            Some(Takes::Number | Takes::Double) => ArrowType::Float64,
            Some(Takes::Integer) => ArrowType::Int64,
            Some(Takes::Text) => ArrowType::Utf8,
            Some(Takes::Time) => time(),
            Some(Takes::Any) | None => given.clone(),
        });
        Ok(coerced.collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let columns = args.args.iter().map(|argument| argument.to_array(args.number_rows)).collect::<Result<Vec<_>, _>>()?;
        (self.sense.compute)(&columns).map(ColumnarValue::Array)
    }
}

/// The type of the language's timestamps.
fn time() -> ArrowType {
    ArrowType::Timestamp(TimeUnit::Microsecond, None)
}

/// The rows in which all of these columns have a value.
fn each<T>(columns: &[ArrayRef], value: impl Fn(usize) -> Option<T>) -> impl Iterator<Item = Option<T>> {
    let rows = columns.first().map_or(0, |column| column.len());
    (0..rows).map(move |row| columns.iter().all(|column| column.is_valid(row)).then(|| value(row)).flatten())
}
