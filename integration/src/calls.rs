//! Every aggregate as a call that definitions may hold, with what it means to the oracle.

use crate::cases::{LENGTHS, Scalar, Type};
use crate::chance::Chance;
use crate::oracle::{Aggregate, Input};

/// An aggregate with its literals.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    literals: String,
    aggregate: Aggregate,
    /// How many inputs it has.
    pub(crate) inputs: usize,
    /// Which types each of them may have.
    pub(crate) accepts: fn(Type) -> bool,
}

impl Call {
    /// As text, what it means, and its inputs.
    pub(crate) fn of(self, inputs: &[&Scalar]) -> (String, Aggregate, Vec<Input>) {
        let literals = Some(self.literals.as_str()).filter(|literals| !literals.is_empty());
        let given: Vec<&str> = inputs.iter().map(|scalar| scalar.text).collect();
        let given = match self.aggregate {
            Aggregate::Collect(_) => {
                let fields = given.iter().enumerate().map(|(index, text)| format!("{text} as f{index}"));
                vec![format!("struct({})", fields.collect::<Vec<_>>().join(", "))]
            }
            _ => given.into_iter().map(str::to_owned).collect(),
        };
        let arguments: Vec<&str> = given.iter().map(String::as_str).chain(literals).collect();
        let call = format!("{}({})", self.name, arguments.join(", "));
        (call, self.aggregate, inputs.iter().map(|scalar| scalar.input.clone()).collect())
    }
}

/// Every aggregate, some with several literals.
pub(crate) fn calls(chance: &mut Chance) -> Vec<Call> {
    use Aggregate::*;
    let one_to_four = 1 + chance.below(4);
    let (half_life, half_life_micros) = *chance.pick(&LENGTHS);
    let p = *chance.pick(&[0.0, 0.25, 0.5, 0.9, 1.0]);
    let rows: Vec<(&str, String, Aggregate, usize, fn(Type) -> bool)> = vec![
        ("count", "*".to_owned(), CountAll, 0, any),
        ("count", String::new(), Count, 1, any),
        ("sum", String::new(), Sum, 1, number),
        ("avg", String::new(), Avg, 1, number),
        ("min", String::new(), Min, 1, any),
        ("max", String::new(), Max, 1, any),
        ("var_pop", String::new(), VarPop, 1, number),
        ("var_samp", String::new(), VarSamp, 1, number),
        ("stddev_pop", String::new(), StddevPop, 1, number),
        ("stddev_samp", String::new(), StddevSamp, 1, number),
        ("first", String::new(), First, 1, any),
        ("last", String::new(), Last, 1, any),
        ("latest", String::new(), Latest, 1, any),
        ("last_n", one_to_four.to_string(), LastN(one_to_four), 1, any),
        ("min_by", String::new(), MinBy, 2, any),
        ("max_by", String::new(), MaxBy, 2, any),
        ("bool_and", String::new(), BoolAnd, 1, boolean),
        ("bool_or", String::new(), BoolOr, 1, boolean),
        ("count_distinct", String::new(), CountDistinct(1000), 1, any),
        ("count_distinct", "3".to_owned(), CountDistinct(3), 1, any),
        ("first_n", one_to_four.to_string(), FirstN(one_to_four), 1, any),
        ("collect", one_to_four.to_string(), Collect(one_to_four), 1, any),
        ("collect", one_to_four.to_string(), Collect(one_to_four), 2, any),
        ("vector_sum", String::new(), VectorSum, 1, numbers),
        ("vector_avg", String::new(), VectorAvg, 1, numbers),
        ("array_agg", String::new(), LastN(100), 1, any),
        ("lag", String::new(), Lag(1), 1, any),
        ("lag", one_to_four.to_string(), Lag(one_to_four), 1, any),
        ("delta", String::new(), Delta, 1, number),
        ("pct_change", String::new(), PctChange, 1, number),
        ("last_distinct_n", one_to_four.to_string(), LastDistinctN(one_to_four), 1, any),
        ("distinct_n", one_to_four.to_string(), DistinctN(one_to_four), 1, any),
        ("mode", String::new(), Mode, 1, any),
        ("top_k", one_to_four.to_string(), TopK(one_to_four), 1, any),
        ("entropy", String::new(), Entropy, 1, any),
        ("histogram", "-1, 0.5, 2".to_owned(), Histogram(vec![-1.0, 0.5, 2.0]), 1, number),
        ("rate", String::new(), Rate, 0, any),
        ("rate", String::new(), Rate, 1, number),
        ("regr_slope", String::new(), RegrSlope, 2, number),
        ("corr", String::new(), Corr, 2, number),
        ("trend", String::new(), Trend, 1, number),
        ("skewness", String::new(), Skewness, 1, number),
        ("kurtosis", String::new(), Kurtosis, 1, number),
        ("zscore_last", String::new(), ZscoreLast, 1, number),
        ("interarrival_avg", String::new(), InterarrivalAvg, 0, any),
        ("seconds_since_first", String::new(), SecondsSinceFirst, 0, any),
        ("seconds_since_last", String::new(), SecondsSinceLast, 0, any),
        ("time_since", String::new(), TimeSince, 1, boolean),
        ("approx_percentile", format!("{p:?}"), ApproxPercentile(p), 1, number),
        ("approx_median", String::new(), ApproxPercentile(0.5), 1, number),
        ("median_abs_deviation", String::new(), MedianAbsDeviation, 1, number),
        ("approx_distinct", String::new(), ApproxDistinct, 1, any),
        ("ewma", format!("'{half_life}'"), Ewma(half_life_micros), 1, number),
        ("decayed_sum", format!("'{half_life}'"), DecayedSum(half_life_micros), 1, number),
        ("time_weighted_avg", String::new(), TimeWeightedAvg, 1, number),
        ("interarrival_stddev", String::new(), InterarrivalStddev, 0, any),
        ("streak", String::new(), Streak, 1, boolean),
        ("drawdown", String::new(), Drawdown, 1, number),
        ("distance_sum", String::new(), DistanceSum, 2, number),
        ("percentile", format!("{p:?}"), Percentile(p), 1, number),
        ("median", String::new(), Percentile(0.5), 1, number),
    ];
    let call = |(name, literals, aggregate, inputs, accepts)| Call { name, literals, aggregate, inputs, accepts };
    rows.into_iter().map(call).collect()
}

pub(crate) fn any(of: Type) -> bool {
    !numbers(of)
}

fn numbers(of: Type) -> bool {
    matches!(of, Type::Floats | Type::Ints)
}

fn boolean(of: Type) -> bool {
    of == Type::Bool
}

fn number(of: Type) -> bool {
    matches!(of, Type::Int | Type::Float)
}
