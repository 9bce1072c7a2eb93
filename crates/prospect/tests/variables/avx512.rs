//! The wide vector registers of x86, where the machine has them.

use prospect::value::expression::Expression;
use prospect_testing::{Missing, note_skipped};

use crate::{find, open, start};

#[test]
fn wide_vectors_and_masks_are_read() {
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !facts.split_whitespace().any(|word| word == "avx512f") {
        return note_skipped(module_path!(), &Missing::new("the processor has no AVX-512"));
    }
    let Some(running) = start("avx512", &[]) else { return };
    let session = open(&running);
    let (stack, index) = find(&session, "holds");
    let scope = session.scope(&stack, index).unwrap();
    let value = |text: &str| {
        let expression = Expression::parse(text, &|_: &str| false).unwrap();
        let found = expression.evaluate(&scope).map_err(|why| why.to_string());
        found.and_then(|object| object.integer(&scope).map_err(|why| why.to_string()))
    };
    assert_eq!(value("$zmm5.i64[0]"), Ok(1));
    assert_eq!(value("$xmm5.i64[1]"), Ok(2));
    assert_eq!(value("$ymm5.i64[3]"), Ok(4));
    assert_eq!(value("$zmm5.i64[7]"), Ok(8));
    assert_eq!(value("$zmm20.i64[0]"), Ok(11));
    assert_eq!(value("$xmm20.i64[1]"), Ok(12));
    assert_eq!(value("$zmm20.i64[7]"), Ok(-18));
    assert_eq!(value("$k3"), Ok(0xa5a5));
    assert_eq!(value("sizeof($ymm5)"), Ok(32));
    // The variables of the source, which live there.
    assert_eq!(value("low[6]"), Ok(7));
    assert_eq!(value("high[7]"), Ok(-18));
}
