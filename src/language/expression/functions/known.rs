//! Which functions the language has, and what they take. DataFusion knows more; what does not stand here is refused, so
//! that no function comes in whose meaning nobody compared with PostgreSQL's (`docs/functions.md`).

/// A function, and for each argument a letter: `n` number, `i` bigint, `s` text, `b` boolean, `t` time, `v` interval, `l`
/// list, `m` map, `a` anything; behind `?` stand those that may be left out, behind `*` the one that may be repeated.
pub(in super::super) type Known = (&'static str, &'static str);

#[rustfmt::skip]
pub(in super::super) static KNOWN: &[Known] = &[
    ("abs", "n"), ("acos", "n"), ("acosh", "n"), ("array_add", "ll"), ("array_any_value", "l"), ("array_append", "la"),
    ("array_avg", "l"), ("array_cat", "ll*l"), ("array_compact", "l"), ("array_concat", "ll*l"), ("array_contains", "la"),
    ("array_distance", "ll"), ("array_distinct", "l"), ("array_element", "li"), ("array_empty", "l"),
    ("array_except", "ll"), ("array_extract", "li"), ("array_has", "la"), ("array_has_all", "ll"), ("array_has_any", "ll"),
    ("array_indexof", "la?i"), ("array_intersect", "ll"), ("array_join", "ls?s"), ("array_length", "l"), ("array_max", "l"),
    ("array_min", "l"), ("array_normalize", "l"), ("array_pop_back", "l"), ("array_pop_front", "l"),
    ("array_position", "la?i"), ("array_positions", "la"), ("array_prepend", "al"), ("array_product", "l"),
    ("array_push_back", "la"), ("array_push_front", "al"), ("array_remove", "la"), ("array_remove_all", "la"),
    ("array_remove_n", "lai"), ("array_repeat", "ai"), ("array_replace", "laa"), ("array_replace_all", "laa"),
    ("array_replace_n", "laai"), ("array_resize", "li?a"), ("array_reverse", "l"), ("array_scale", "ln"),
    ("array_slice", "lii?i"), ("array_sort", "l?ss"), ("array_subtract", "ll"), ("array_sum", "l"), ("array_to_string", "ls?s"),
    ("array_union", "ll"), ("arrays_overlap", "ll"), ("ascii", "s"), ("asin", "n"), ("asinh", "n"), ("atan", "n"),
    ("atan2", "nn"), ("atanh", "n"), ("bit_length", "s"), ("btrim", "s?s"), ("cardinality", "a"),
    ("cbrt", "n"), ("ceil", "n"), ("char_length", "s"), ("character_length", "s"), ("chr", "i"), ("coalesce", "a*a"),
    ("concat", "s*s"), ("concat_ws", "ss*s"), ("contains", "ss"), ("cos", "n"), ("cosh", "n"), ("cosine_distance", "ll"),
    ("cot", "n"), ("date_bin", "vt?t"), ("date_format", "ts"),
    ("date_part", "sa"), ("datepart", "sa"), ("degrees", "n"),
    ("dot_product", "ll"), ("element_at", "ma"), ("empty", "l"), ("ends_with", "ss"), ("exp", "n"), ("factorial", "i"),
    ("find_in_set", "ss"), ("floor", "n"), ("from_unixtime", "i"), ("gcd", "ii"), ("generate_series", "i?ii"),
    ("greatest", "a*a"), ("ifnull", "aa"), ("initcap", "s"),
    ("inner_product", "ll"), ("instr", "ss"), ("isnan", "n"), ("iszero", "n"),     ("lcm", "ii"), ("least", "a*a"), ("left", "si"), ("length", "s"),
    ("levenshtein", "ss"), ("list_add", "ll"), ("list_any_value", "l"), ("list_append", "la"), ("list_avg", "l"),
    ("list_cat", "ll*l"), ("list_compact", "l"), ("list_concat", "ll*l"), ("list_contains", "la"),
    ("list_distance", "ll"), ("list_distinct", "l"), ("list_element", "li"), ("list_empty", "l"), ("list_except", "ll"),
    ("list_extract", "li"), ("list_has", "la"), ("list_has_all", "ll"), ("list_has_any", "ll"), ("list_indexof", "la?i"),
    ("list_intersect", "ll"), ("list_join", "ls?s"), ("list_length", "l"), ("list_max", "l"), 
    ("list_normalize", "l"), ("list_pop_back", "l"), ("list_pop_front", "l"), ("list_position", "la?i"),
    ("list_positions", "la"), ("list_prepend", "al"), ("list_product", "l"), ("list_push_back", "la"),
    ("list_push_front", "al"), ("list_remove", "la"), ("list_remove_all", "la"), ("list_remove_n", "lai"),
    ("list_repeat", "ai"), ("list_replace", "laa"), ("list_replace_all", "laa"), ("list_replace_n", "laai"),
    ("list_resize", "li?a"), ("list_reverse", "l"), ("list_scale", "ln"), ("list_slice", "lii?i"), ("list_sort", "l?ss"),
    ("list_subtract", "ll"), ("list_sum", "l"), ("list_to_string", "ls?s"), ("list_union", "ll"), ("ln", "n"), ("log", "n?n"),
    ("log10", "n"), ("log2", "n"), ("lower", "s"), ("lpad", "si?s"), ("ltrim", "s?s"), ("make_array", "*a"),
    ("make_date", "iii"), ("make_list", "*a"), ("map_entries", "m"), ("map_extract", "ma"), ("map_keys", "m"),
    ("map_values", "m"), ("nanvl", "nn"), ("nullif", "aa"), ("nvl", "aa"), ("nvl2", "aaa"), ("octet_length", "s"),
    ("overlay", "ssi?i"), ("pi", ""), ("position", "ss"), ("pow", "nn"), ("power", "nn"), ("radians", "n"), ("range", "i?ii"),
    ("regexp_count", "ss?is"), ("regexp_instr", "ss?iiisi"), ("regexp_like", "ss?s"), ("regexp_match", "ss?s"),
    ("regexp_replace", "sss?s"), ("repeat", "si"), ("replace", "sss"), ("reverse", "s"), ("right", "si"), ("round", "n?i"),
    ("rpad", "si?s"), ("rtrim", "s?s"), ("signum", "n"), ("sin", "n"), ("sinh", "n"), ("split_part", "ssi"), ("sqrt", "n"),
    ("starts_with", "ss"), ("string_to_array", "ss?s"), ("string_to_list", "ss?s"), ("strpos", "ss"), ("substr", "si?i"),
    ("substr_index", "ssi"), ("substring", "si?i"), ("substring_index", "ssi"), ("tan", "n"), ("tanh", "n"), ("to_char", "ts"),
    ("to_hex", "i"), ("to_timestamp", "n"), ("to_timestamp_micros", "i"), ("to_timestamp_millis", "i"),
    ("to_timestamp_nanos", "i"), ("to_timestamp_seconds", "i"), ("to_unixtime", "t"), ("translate", "sss"), ("trim", "s?s"),
    ("trunc", "n?i"), ("upper", "s"),
];

/// The names of all functions of the language, its own included.
pub fn functions() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _)| *name).chain(super::ALL.iter().map(|function| function.name))
}

const TYPES: &str = "what a column is stands in its declaration; `x::double` casts";
const STRUCTS: &str = "`collect(struct(..), n)` makes structs, and `list[1]['field']` reads one";
const EACH: &str = "a stream makes a row of each element: `select unnest(xs) as x from ..`; its features aggregate them";

/// Functions that DataFusion or PostgreSQL has and the language does not, and what to write instead.
pub static REFUSED_FUNCTIONS: &[(&str, &str)] = &[
    ("age", "`t - u` is an interval; `extract(epoch from t - u)` is its seconds"),
    ("any_match", EACH),
    ("array_any_match", EACH),
    ("array_dims", "lists have one dimension; `array_length(list)` is how long it is"),
    ("array_filter", EACH),
    ("array_first", EACH),
    ("array_ndims", "lists have one dimension; `array_length(list)` is how long it is"),
    ("array_transform", EACH),
    ("arrays_zip", STRUCTS),
    ("arrow_cast", "a cast to a type of the language: `x::double`"),
    ("arrow_field", TYPES),
    ("arrow_metadata", TYPES),
    ("arrow_try_cast", "a cast to a type of the language: `x::double`"),
    ("arrow_typeof", TYPES),
    ("cast_to_type", "a cast to a type of the language: `x::double`"),
    ("decode", "bytes are no type of the language"),
    ("div", "`trunc(a::double / b)` is the whole part of a quotient"),
    ("encode", "bytes are no type of the language"),
    ("flatten", "lists of lists are no type of the language"),
    ("get_field", STRUCTS),
    ("if", "`case when b then x else y end`"),
    ("list_any_match", EACH),
    ("list_dims", "lists have one dimension; `array_length(list)` is how long it is"),
    ("list_filter", EACH),
    ("list_first", EACH),
    ("list_ndims", "lists have one dimension; `array_length(list)` is how long it is"),
    ("list_transform", EACH),
    ("list_zip", STRUCTS),
    ("make_interval", "an interval is a literal: `interval '1 day'`; `t - u` is one"),
    ("make_time", "there is no type for a time of day; `extract(hour from t)` is a bigint"),
    ("md5", "`hash_mod(text, n)` is a number of a text that stays the same"),
    ("mod", "`n % m` is the remainder"),
    ("named_struct", STRUCTS),
    ("row", STRUCTS),
    ("sign", "`signum(x)`"),
    ("struct", STRUCTS),
    ("to_date", "`s::date` reads a day such as 2024-02-29"),
    ("to_local_time", "`t at time zone 'Europe/Berlin'` is what the clocks there show"),
    ("to_time", "there is no type for a time of day; `extract(hour from t)` is a bigint"),
    ("try_cast_to_type", "a cast to a type of the language: `x::double`"),
    ("union_extract", TYPES),
    ("union_tag", TYPES),
    ("with_metadata", TYPES),
];

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::Volatility;

    use super::super::super::Planner;
    use super::{REFUSED_FUNCTIONS, functions};

    /// Said by name with codes of their own, where functions are resolved.
    const OTHERWISE: [&str; 3] = ["make_map", "map", "version"];

    #[test]
    fn every_function_that_datafusion_has_is_let_in_or_refused_by_name() {
        let planner = Planner::new();
        let scalars = planner.state.scalar_functions().iter();
        let scalars = scalars.filter(|(_, function)| function.signature().volatility == Volatility::Immutable).map(|(name, _)| name);
        let all = scalars.chain(planner.state.higher_order_functions().keys());
        // Functions of ours that have no name in SQL have a space in it.
        let unlisted = all.filter(|name| {
            !name.contains(' ')
                && !OTHERWISE.contains(&name.as_str())
                && !functions().any(|known| known == *name)
                && !REFUSED_FUNCTIONS.iter().any(|(refused, _)| refused == name)
        });
        let mut unlisted: Vec<_> = unlisted.collect();
        unlisted.sort();
        assert!(unlisted.is_empty(), "{unlisted:?}");
    }
}
