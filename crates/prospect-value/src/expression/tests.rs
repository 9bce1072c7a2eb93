//! How expressions are read; how they are evaluated is in `evaluate`.

use super::{
    Expression, Node,
    arithmetic::{self, Number, Outcome, Rules},
    syntax::{BinaryOperator as Op, Layer},
};

fn parse(text: &str) -> Expression {
    let is_type = |name: &str| matches!(name, "size_t" | "ns::T" | "u8" | "Vec<u8>");
    Expression::parse(text, &is_type).unwrap_or_else(|error| panic!("{text}: {error} at {:?}", error.at))
}

/// With every bracket that its structure has.
fn shown(text: &str) -> String {
    show(&parse(text))
}

fn show(expression: &Expression) -> String {
    let all = |operands: &[&Expression]| operands.iter().map(|one| show(one)).collect::<Vec<_>>().join(" ");
    match &expression.node {
        Node::Integer(value, suffix) => format!("{value}{suffix}"),
        Node::Float(value) => format!("{value:?}"),
        Node::Character(one) => format!("{one:?}"),
        Node::Text(text) => format!("{text:?}"),
        Node::Boolean(value) => value.to_string(),
        Node::Name { within: Some(within), path } => format!("[{within}]{path}"),
        Node::Name { within: None, path } => path.clone(),
        Node::Register(name) => format!("${name}"),
        Node::Member(of, name) => format!("({} .{name})", show(of)),
        Node::Index(of, index) => format!("(index {})", all(&[of, index])),
        Node::Slice(of, from, to) => {
            let end = |end: &Option<Box<Expression>>| end.as_ref().map_or("-".into(), |one| show(one));
            format!("(slice {} {} {})", show(of), end(from), end(to))
        }
        Node::Repeat(of, count) => format!("(@ {})", all(&[of, count])),
        Node::Unary(operator, of) => format!("({operator:?} {})", show(of)),
        Node::Binary(operator, left, right) => format!("({} {})", operator.as_str(), all(&[left, right])),
        Node::Conditional(condition, yes, no) => format!("(? {})", all(&[condition, yes, no])),
        Node::Cast(ty, of) => format!("(cast {}{} {})", ty.name, layers(&ty.layers), show(of)),
        Node::SizeOf(of) => format!("(sizeof {})", show(of)),
        Node::SizeOfType(ty) => format!("(sizeof-type {}{})", ty.name, layers(&ty.layers)),
        Node::Length(of) => format!("(length {})", show(of)),
    }
}

fn layers(layers: &[Layer]) -> String {
    let layer = |layer: &Layer| match layer {
        Layer::Pointer => "*".to_owned(),
        Layer::Array(count) => format!("[{count}]"),
    };
    layers.iter().map(layer).collect()
}

#[test]
fn operators_bind_as_in_c() {
    assert_eq!(shown("1 + 2 * 3 - 4"), "(- (+ 1 (* 2 3)) 4)");
    assert_eq!(shown("a == b && c | d << 2 < e"), "(&& (== a b) (| c (< (<< d 2) e)))");
    assert_eq!(shown("a || b && !c ? -1 : ~x"), "(? (|| a (&& b (Not c))) (Negate 1) (Complement x))");
    assert_eq!(shown("*p.next->x[1]"), "(Dereference (index ((p .next) .x) 1))");
    assert_eq!(shown("&a[i].b - 1"), "(- (AddressOf ((index a i) .b)) 1)");
    assert_eq!(shown("a - -b"), "(- a (Negate b))");
    assert_eq!(shown("x.0.1"), "((x .0) .1)");
    assert_eq!(shown("(a + b) % 'c'"), "(% (+ a b) 'c')");
}

#[test]
fn ranges_and_repetitions_are_parts_of_arrays() {
    assert_eq!(shown("arr[2..5]"), "(slice arr 2 5)");
    assert_eq!(shown("arr[..n - 1]"), "(slice arr - (- n 1))");
    assert_eq!(shown("arr[2..]"), "(slice arr 2 -)");
    assert_eq!(shown("*argv@argc"), "(@ (Dereference argv) argc)");
}

#[test]
fn casts_are_told_from_brackets() {
    assert_eq!(shown("(unsigned long)x + 1"), "(+ (cast unsigned long x) 1)");
    assert_eq!(shown("(struct node *)p->next"), "(cast node* (p .next))");
    assert_eq!(shown("(size_t)-1"), "(cast size_t (Negate 1))");
    assert_eq!(shown("(size)-1"), "(- size 1)");
    assert_eq!(shown("(ns::T)x"), "(cast ns::T x)");
    assert_eq!(shown("*(int (*)[4])p"), "(Dereference (cast int[4]* p))");
    assert_eq!(shown("(char[16])buffer"), "(cast char[16] buffer)");
    assert_eq!(shown("(const char * const)p"), "(cast char* p)");
    assert_eq!(shown("x as u8 + 1"), "(+ (cast u8 x) 1)");
    assert_eq!(shown("p as *const Vec<u8>"), "(cast Vec<u8>* p)");
    assert_eq!(shown("(std::map<int, std::vector<char> > *)p"), "(cast std::map<int, std::vector<char>>* p)");
    assert_eq!(
        shown("sizeof(size_t) + sizeof x + sizeof(x)"),
        "(+ (+ (sizeof-type size_t) (sizeof x)) (sizeof x))"
    );
}

#[test]
fn names_have_paths_files_and_modules() {
    assert_eq!(shown("net::peers[0]"), "(index net::peers 0)");
    assert_eq!(shown("::count"), "::count");
    assert_eq!(shown("'file.c'::count"), "[file.c]count");
    assert_eq!(shown("'libssl.so.3'!table"), "[libssl.so.3]table");
    assert_eq!(shown("libc!environ"), "[libc]environ");
    assert_eq!(shown("a!=b"), "(!= a b)");
    assert_eq!(shown("Pool<u8, 4>::LIMIT"), "Pool<u8, 4>::LIMIT");
    assert_eq!(shown("a<b && c>d"), "(&& (< a b) (> c d))");
    assert_eq!(shown("$rip + $xmm0"), "(+ $rip $xmm0)");
}

#[test]
fn the_names_of_an_expression_are_listed() {
    let text = "(size_t)*p->next[i + 1].name == x ? f.q[a..b] : 'lib.so'!c + $rip";
    assert_eq!(parse(text).names(), ["p", "i", "x", "f", "a", "b"]);
}

#[test]
fn literals_are_those_of_c_and_rust() {
    assert_eq!(shown("0xffUL + 0b101 + 1_000 + 0o17 + 017"), "(+ (+ (+ (+ 255UL 5) 1000) 15) 15)");
    assert_eq!(shown("1.5e3 + 2e-1f"), "(+ 1500.0 0.2)");
    assert_eq!(shown(r#"name == "a\x41\n\"""#), r#"(== name "aA\n\"")"#);
    assert_eq!(shown(r"'\'' + '\0'"), r"(+ '\'' '\0')");
    assert_eq!(shown("true != false"), "(!= true false)");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let error = |text: &str| {
        let error = Expression::parse(text, &|_| false).unwrap_err();
        (error.to_string(), error.at)
    };
    let (text, at) = error("a + ");
    assert_eq!((text.as_str(), at), ("something is missing here", 4..4));
    let (text, at) = error("f(1)");
    assert_eq!((text.as_str(), at), ("`f` is not called: functions do not run here", 0..2));
    let (text, at) = error("x = 3");
    assert_eq!((text.as_str(), at), ("values are not written here; to compare, write `==`", 2..3));
    assert_eq!(error("a[1").1, 3..3);
    assert_eq!(error("p->").1, 3..3);
    assert_eq!(error("1 2").1, 2..3);
    assert_eq!(error("0xz").1, 0..3);
    assert_eq!(error("\"abc").1, 0..4);
    assert_eq!(error("a € b").1, 2..5);
    for text in ["", "(", ")", "?", "a ? b", "$", "''", "a..b", "99999999999999999999999999999999999999999"] {
        assert!(Expression::parse(text, &|_| true).is_err(), "{text}");
    }
}

#[test]
fn deep_and_long_expressions_are_refused() {
    for (open, close) in [("(", ")"), ("-", ""), ("a[", "]"), ("a ? ", " : b"), ("*", "")] {
        let text = format!("{}a{}", open.repeat(5000), close.repeat(5000));
        assert!(Expression::parse(&text, &|_| false).is_err(), "{open}");
    }
    assert!(Expression::parse(&"a.b".repeat(5000), &|_| false).is_err());
    assert!(Expression::parse(&" ".repeat(1 << 20), &|_| false).is_err());
}

#[test]
fn any_text_is_read_or_refused() {
    let words = [
        "a", "(", ")", "*", "1", ".", "..", "[", "]", "<", ">", "::", "'x'", "\"", "$", "int", "sizeof",
        "as", "é", "!", "@", " ",
    ];
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(words[(state >> 16) as usize % words.len()]);
        }
        if let Err(error) = Expression::parse(&text, &|name| name == "a") {
            assert!(error.at.start <= error.at.end && error.at.end <= text.len(), "{text}");
            assert!(text.get(error.at.clone()).is_some(), "{text}: {:?}", error.at);
        }
    }
}

/// `left operator right` as a number and its width; the operands are written as literals.
fn result(left: (u128, &str), operator: Op, right: (u128, &str), rules: Rules) -> (i128, u8) {
    let number = |(value, suffix): (u128, &str)| Number::literal(value, suffix).unwrap();
    match arithmetic::binary(operator, number(left), number(right), rules).unwrap() {
        Outcome::Number(number) => (number.bits().cast_signed(), number.bytes),
        Outcome::Truth(truth) => (truth.into(), 0),
    }
}

#[test]
fn numbers_follow_the_rules_of_their_language() {
    // Small numbers are `int` in C, and stay what they are in Rust.
    assert_eq!(result((255, "u8"), Op::Add, (1, "u8"), Rules::C), (256, 4));
    assert_eq!(result((255, "u8"), Op::Add, (1, ""), Rules::Rust), (0, 1));
    // -1 < 1u is false in C: both are unsigned.
    let minus_one = Number::literal(1, "").unwrap().negated(Rules::C);
    let one = Number::literal(1, "u").unwrap();
    assert_eq!(arithmetic::binary(Op::Less, minus_one, one, Rules::C), Ok(Outcome::Truth(false)));
    assert_eq!(result((0x7fff_ffff, "i32"), Op::Add, (1, "i32"), Rules::C), (-0x8000_0000, 4));
    assert_eq!(result((1, "u64"), Op::Subtract, (2, "i32"), Rules::C), (0xffff_ffff_ffff_ffff, 8));
    assert_eq!(result((1, "ul"), Op::ShiftLeft, (63, ""), Rules::C), (1 << 63, 8));
    let number = |value, suffix| Number::literal(value, suffix).unwrap();
    for (operator, right) in [(Op::Divide, 0), (Op::Remainder, 0), (Op::ShiftLeft, 32), (Op::ShiftRight, 200)]
    {
        assert!(arithmetic::binary(operator, number(1, "i32"), number(right, ""), Rules::C).is_err());
    }
    let lowest = Number::literal(1 << 127, "i128").unwrap();
    let minus = Number::literal(1, "i128").unwrap().negated(Rules::C);
    assert!(arithmetic::binary(Op::Divide, lowest, minus, Rules::C).is_ok());
}
