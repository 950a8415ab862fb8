mod approximate;
mod examples;

use super::*;
use proptest::prelude::*;

use super::exact::ExactSum;

fn sum_of(numbers: &[f64]) -> f64 {
    let mut sum = ExactSum::default();
    numbers.iter().for_each(|number| sum.add_double(*number));
    sum.round()
}

#[test]
fn registry_is_sorted() {
    assert!(names().is_sorted());
}

#[test]
fn binds_types_and_parameters() {
    let bound =
        |name: &str, inputs: &[DataType], parameters: &[Value]| bind(name, inputs, parameters).map(|a| (a.text(), a.result_type().clone()));
    assert_eq!(bound("sum", &[DataType::Int], &[]), Ok(("sum".into(), DataType::Int)));
    assert_eq!(bound("avg", &[DataType::Int], &[]), Ok(("avg".into(), DataType::Float)));
    assert_eq!(bound("last_n", &[DataType::Text], &[Value::Int(5)]), Ok(("last_n(5)".into(), DataType::List(Box::new(DataType::Text)))));
    assert_eq!(bound("count_distinct", &[DataType::Text], &[]), Ok(("count_distinct(1000)".into(), DataType::Int)));
    assert_eq!(bound("max_by", &[DataType::Text, DataType::Float], &[]), Ok(("max_by".into(), DataType::Text)));
    assert_eq!(bound("sum", &[DataType::Text], &[]), Err(BindError("sum takes a bigint or a double, not text".into())));
    assert_eq!(bound("sum", &[], &[]), Err(BindError("sum takes 1 input, 0 given".into())));
    assert_eq!(bound("bool_or", &[DataType::Int], &[]), Err(BindError("bool_or takes a boolean, not bigint".into())));
    assert_eq!(bound("last_n", &[DataType::Int], &[Value::Int(0)]), Err(BindError("last_n takes a length n from 1 to 1000, not 0".into())));
    let list = |item: DataType| DataType::List(Box::new(item));
    let message = "vector_sum takes a bigint[] or a double[], not bigint";
    assert_eq!(bound("vector_sum", &[DataType::Int], &[]), Err(BindError(message.into())));
    let message = "vector_avg takes a bigint[] or a double[], not text[]";
    assert_eq!(bound("vector_avg", &[list(DataType::Text)], &[]), Err(BindError(message.into())));
    assert_eq!(bound("vector_avg", &[list(DataType::Int)], &[]), Ok(("vector_avg".into(), list(DataType::Float))));
    assert_eq!(bound("sum", &[list(DataType::Int)], &[]), Err(BindError("sum takes single values, not bigint[]".into())));
    let text = |text: &str| Value::Text(text.into());
    assert_eq!(bound("ewma", &[DataType::Int], &[text("1h 30m")]), Ok(("ewma('90m')".into(), DataType::Float)));
    assert_eq!(bound("percentile", &[DataType::Int], &[Value::Int(1)]), Ok(("percentile(1.0)".into(), DataType::Float)));
    assert_eq!(bound("top_k", &[DataType::Text], &[Value::Int(3)]), Ok(("top_k(3)".into(), list(DataType::Text))));
    let bounds = [Value::Int(-1), Value::Float(0.5)];
    assert_eq!(bound("histogram", &[DataType::Float], &bounds), Ok(("histogram(-1.0, 0.5)".into(), list(DataType::Int))));
    let refused = |name: &str, input: DataType, parameter: Value| bind(name, &[input], &[parameter]).unwrap_err().0;
    let message = "ewma takes a half-life as a length of time in quotes, such as '1h'";
    assert_eq!(refused("ewma", DataType::Float, Value::Int(3)), message);
    assert_eq!(refused("ewma", DataType::Float, text("0s")), message);
    let message = "percentile takes a number p from 0 to 1, such as 0.95";
    assert_eq!(refused("percentile", DataType::Float, Value::Float(1.5)), message);
    assert_eq!(refused("percentile", DataType::Float, text("0.5")), message);
    assert_eq!(
        refused("histogram", DataType::Float, Value::Int(i64::MAX)),
        "histogram takes bounds that are numbers, whole ones up to 2^53"
    );
    let descending = bind("histogram", &[DataType::Int], &[Value::Int(2), Value::Int(2)]).unwrap_err().0;
    assert_eq!(descending, "histogram takes bounds in ascending order");
}

#[test]
fn what_keeps_nulls_makes_no_map() {
    let refused = bind("latest", &[DataType::Int], &[]).unwrap().by(&DataType::Text).unwrap_err().0;
    assert_eq!(refused, "latest cannot be grouped with by: maps are made of inputs that are not null; use last");
}

#[test]
fn aggregates_of_one_state_share_a_fold() {
    let fold =
        |name: &str, inputs: usize, parameters: &[Value]| bind(name, &vec![DataType::Float; inputs], parameters).unwrap().fold().clone();
    let (half, three) = ([Value::Float(0.5)], [Value::Int(3)]);
    assert_eq!(fold("approx_percentile", 1, &half), fold("median_abs_deviation", 1, &[]));
    assert_eq!(fold("percentile", 1, &half), fold("median", 1, &[]));
    assert_eq!(fold("corr", 2, &[]), fold("regr_slope", 2, &[]));
    let list = [DataType::List(Box::new(DataType::Float))];
    assert_eq!(bind("vector_sum", &list, &[]).unwrap().fold(), bind("vector_avg", &list, &[]).unwrap().fold());
    assert_eq!(fold("skewness", 1, &[]), fold("kurtosis", 1, &[]));
    assert_eq!(fold("mode", 1, &[]), fold("top_k", 1, &three));
    assert_eq!(fold("array_agg", 1, &three), fold("last_n", 1, &three));
    assert_ne!(fold("first_n", 1, &three), fold("first_n", 1, &[Value::Int(2)]));
    assert_ne!(fold("trend", 1, &[]), fold("corr", 2, &[]));
}

#[test]
fn what_cannot_be_kept_of_forgotten_events_is_told() {
    let bounded = |name: &&'static str| {
        let shape = shape(name).unwrap();
        let parameters = [Value::Float(0.5), Value::Int(1), Value::Text("1h".into())];
        let types = [DataType::Float, DataType::Bool, DataType::List(Box::new(DataType::Float))];
        let mut bound = types.iter().flat_map(|of| {
            parameters.iter().filter_map(|parameter| {
                let mut parameters = vec![parameter.clone(); shape.parameters_min];
                if takes_struct(name) {
                    parameters[1] = Value::Text("x".into());
                }
                bind(name, &vec![of.clone(); shape.inputs_min], &parameters).ok()
            })
        });
        bound.next().unwrap_or_else(|| panic!("{name} binds to nothing")).needs_bounded().is_some()
    };
    assert_eq!(names().into_iter().filter(bounded).collect::<Vec<_>>(), ["median", "percentile"]);
}

#[test]
fn sums_of_hard_cases_are_rounded_once() {
    assert_eq!(sum_of(&[1e308, 1e308, -1e308, -1e308, 1.5]), 1.5);
    assert_eq!(sum_of(&[1e308, 1e308, -1e308]), 1e308);
    assert_eq!(sum_of(&[1e308, 1e308]), f64::INFINITY);
    assert_eq!(sum_of(&[1e16, 1.0, -1e16]), 1.0);
    assert_eq!(sum_of(&[1e300, 1e-300, -1e300]), 1e-300);
    assert_eq!(sum_of(&[f64::from_bits(1), f64::from_bits(1)]), f64::from_bits(2));
    assert_eq!(sum_of(&[f64::MIN_POSITIVE, -f64::from_bits(1)]), f64::from_bits((1 << 52) - 1));
    assert_eq!(sum_of(&[0.1; 10]), 1.0);
    assert_eq!(sum_of(&[-0.0, -0.0]).to_bits(), 0);
    assert_eq!(sum_of(&[]).to_bits(), 0);
    // Ties go to even: 2^53 + 1 lies between 2^53 and 2^53 + 2.
    assert_eq!(sum_of(&[9_007_199_254_740_992.0, 1.0]), 9_007_199_254_740_992.0);
    assert_eq!(sum_of(&[9_007_199_254_740_992.0, 1.0, 2.0]), 9_007_199_254_740_996.0);
    assert_eq!(sum_of(&[9_007_199_254_740_992.0, 1.0, 1e-300]), 9_007_199_254_740_994.0);
    assert_eq!(sum_of(&[f64::MAX, 2f64.powi(970)]), f64::INFINITY);
    assert_eq!(sum_of(&[f64::MAX, 2f64.powi(969)]), f64::MAX);
}

#[test]
fn what_is_no_number_is_counted_beside_the_sum() {
    assert_eq!(sum_of(&[f64::INFINITY, 1.0]), f64::INFINITY);
    assert_eq!(sum_of(&[1.0, f64::NEG_INFINITY]), f64::NEG_INFINITY);
    assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    assert!(sum_of(&[1.0, f64::NAN]).is_nan());
}

/// Doubles of all magnitudes, with more than a fair share of hard ones.
fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |x| x.is_finite()),
        -1e6..1e6f64,
        (-20..20i32, any::<bool>()).prop_map(|(e, n)| if n { -(2f64.powi(e)) } else { 2f64.powi(e) }),
        Just(1e308),
        Just(-1e308),
        Just(f64::from_bits(1)),
        Just(0.0),
    ]
}

fn units(number: f64) -> num_bigint::BigInt {
    let bits = number.to_bits();
    let biased = bits >> 52 & 0x7ff;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, shift) = if biased == 0 { (fraction, 0) } else { (fraction | 1 << 52, biased - 1) };
    let magnitude = num_bigint::BigInt::from(mantissa) << shift;
    if bits >> 63 == 1 { -magnitude } else { magnitude }
}

/// The double nearest to `numerator / denominator * 2^-exponent`, found by comparing exact distances.
fn nearest(guess: f64, numerator: &num_bigint::BigInt, denominator: &num_bigint::BigInt, exponent: u32) -> bool {
    use num_bigint::BigInt;
    // In units of 2^-1074: |x - y| for y the guess and its neighbours.
    let scaled = (numerator << 1074usize) << 0usize;
    let scale = denominator << exponent as usize;
    let distance = |y: f64| {
        let difference: BigInt = &scaled - units(y) * &scale;
        if difference < BigInt::ZERO { -difference } else { difference }
    };
    let own = distance(guess);
    [guess.next_up(), guess.next_down()].into_iter().filter(|y| y.is_finite()).all(|y| match own.cmp(&distance(y)) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => guess.to_bits() & 1 == 0,
        std::cmp::Ordering::Greater => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_do_not_depend_on_order_or_merging_and_survive_storage(numbers in prop::collection::vec(double(), 0..40), split in 0usize..40) {
        let whole = sum_of(&numbers);
        let mut reversed = numbers.clone();
        reversed.reverse();
        prop_assert_eq!(whole.to_bits(), sum_of(&reversed).to_bits());
        let (left, right) = numbers.split_at(split.min(numbers.len()));
        let mut sums = [left, right].map(|part| {
            let mut sum = ExactSum::default();
            part.iter().for_each(|number| sum.add_double(*number));
            sum
        });
        let (a, b) = sums.split_at_mut(1);
        let mut stored = Vec::new();
        b[0].encode(&mut stored);
        let decoded = ExactSum::decode(&mut ByteReader(&stored)).unwrap();
        a[0].merge(&decoded);
        prop_assert_eq!(whole.to_bits(), a[0].round().to_bits());
        let mut sum = ExactSum::default();
        reversed.iter().for_each(|number| sum.add_double(*number));
        let (mut x, mut y) = (Vec::new(), Vec::new());
        sum.encode(&mut x);
        a[0].encode(&mut y);
        prop_assert_eq!(x, y);
    }

    #[test]
    fn sums_are_the_nearest_doubles(numbers in prop::collection::vec(double(), 1..20)) {
        let sum = sum_of(&numbers);
        let exact: num_bigint::BigInt = numbers.iter().map(|number| units(*number)).sum();
        if sum.is_finite() {
            prop_assert!(nearest(sum, &exact, &num_bigint::BigInt::from(1), 1074));
        } else {
            prop_assert!(exact.magnitude() >= units(f64::MAX).magnitude());
        }
    }

    #[test]
    fn variances_are_the_nearest_doubles(numbers in prop::collection::vec(-1e6..1e6f64, 2..20), offset in prop_oneof![Just(0.0), Just(1e9), Just(1e-9)]) {
        let numbers: Vec<f64> = numbers.iter().map(|number| number + offset).collect();
        let (mut sum, mut squares) = (ExactSum::default(), ExactSum::default());
        for number in &numbers {
            sum.add_double(*number);
            squares.add_square(*number);
        }
        let n = numbers.len() as u64;
        let (s1, s2) = numbers.iter().map(|x| units(*x)).fold(Default::default(), |(a, b): (num_bigint::BigInt, num_bigint::BigInt), x| (a + &x, b + &x * &x));
        let numerator = s2 * n - &s1 * &s1;
        for divisor in [n, n - 1] {
            let variance = exact::variance(n, &sum, &squares, divisor);
            prop_assert!(nearest(variance, &numerator, &num_bigint::BigInt::from(n * divisor), 2 * 1074));
        }
    }
}
