//! Functions that are written by others: `coalesce` is a `case`, `nvl` a `coalesce`. DataFusion rewrites them in its
//! optimiser, which single expressions do not pass. Must never rewrite what runs as it stands: a simplified expression
//! could round otherwise.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{Expr, lit, when};

/// The functions that have no code of their own.
const WRITTEN_BY_OTHERS: [&str; 7] = ["arrow_cast", "arrow_try_cast", "cast_to_type", "coalesce", "nvl", "nvl2", "try_cast_to_type"];

/// Functions that take a null list for an empty one where no row beside it has elements, and for null otherwise.
const BLIND_TO_NULLS: [&str; 2] = ["array_has_all", "array_has_any"];

/// The expression with such functions replaced by what they mean, and null where a list is null.
pub(super) fn runnable(expr: Expr, names: &DFSchema) -> Result<Expr, DataFusionError> {
    let context = SimplifyContext::builder().with_schema(Arc::new(names.clone())).build();
    let rewritten = expr.transform_up(|expr| match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if WRITTEN_BY_OTHERS.contains(&func.name()) => {
            match func.simplify(args, &context)? {
                ExprSimplifyResult::Simplified(meant) => Ok(Transformed::yes(meant)),
                ExprSimplifyResult::Original(args) => Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
            }
        }
        Expr::ScalarFunction(call) if BLIND_TO_NULLS.contains(&call.func.name()) => {
            let nulls = call.args.iter().cloned().map(Expr::is_null).reduce(Expr::or).unwrap_or_else(|| lit(false));
            Ok(Transformed::yes(when(nulls, lit(ScalarValue::Boolean(None))).otherwise(Expr::ScalarFunction(call))?))
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(rewritten?.data)
}
