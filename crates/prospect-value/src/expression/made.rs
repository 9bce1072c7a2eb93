//! Objects that an expression makes: numbers, truth values, texts, pointers.

use prospect_process::Addr;
use prospect_symbols::type_info::{BaseEncoding, TypeRef};

use super::{
    arithmetic::{Number, Rules, Value},
    base_type,
    evaluate::Evaluator,
};
use crate::{Object, scalar};

impl Evaluator<'_> {
    /// A number as an object, with the type that its language has for it.
    pub(super) fn made(&self, number: Number) -> Object {
        let bytes = number.bytes;
        let (encoding, name) = match number.value {
            Value::Float(_) => {
                (BaseEncoding::Float, if bytes == 4 { ["float", "f32"] } else { ["double", "f64"] })
            }
            Value::Signed(_) => (
                BaseEncoding::Signed,
                match bytes {
                    1 => ["signed char", "i8"],
                    2 => ["short", "i16"],
                    4 => ["int", "i32"],
                    8 => ["long", "i64"],
                    _ => ["__int128", "i128"],
                },
            ),
            Value::Unsigned(_) => (
                BaseEncoding::Unsigned,
                match bytes {
                    1 => ["unsigned char", "u8"],
                    2 => ["unsigned short", "u16"],
                    4 => ["unsigned int", "u32"],
                    8 => ["unsigned long", "u64"],
                    _ => ["unsigned __int128", "u128"],
                },
            ),
        };
        let name = name[usize::from(self.rules == Rules::Rust)];
        self.with_type(number, base_type::of(name, encoding, bytes))
    }

    fn with_type(&self, number: Number, ty: TypeRef) -> Object {
        let bytes = match number.value {
            #[allow(clippy::cast_possible_truncation, reason = "that is what its type is")]
            Value::Float(value) if number.bytes == 4 => (value as f32).to_bits().into(),
            Value::Float(value) => value.to_bits().into(),
            _ => number.bits(),
        };
        let big_endian = self.scope.arch().big_endian;
        Object::from_bytes(scalar::bytes_of(bytes, number.bytes.into(), big_endian), ty)
    }

    pub(super) fn made_truth(&self, truth: bool) -> Object {
        Object::from_bytes(vec![truth.into()], base_type::of("bool", BaseEncoding::Boolean, 1))
    }

    pub(super) fn character(&self, one: char) -> Object {
        let code = u32::from(one);
        let number = |bytes| Number::new(Value::Unsigned(code.into()), bytes);
        if self.rules == Rules::Rust {
            return self.with_type(number(4), base_type::of("char", BaseEncoding::Utf, 4));
        }
        if code < 0x100 {
            return self.with_type(number(1), base_type::of("char", BaseEncoding::SignedChar, 1));
        }
        self.with_type(number(4), base_type::of("char32_t", BaseEncoding::Utf, 4))
    }

    pub(super) fn text(&self, text: &str) -> Object {
        let element = base_type::of("char", BaseEncoding::SignedChar, 1);
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        let ty = element.array(bytes.len() as u64);
        Object::from_bytes(bytes, ty)
    }

    pub(super) fn pointer(&self, at: Addr, target: &TypeRef) -> Object {
        let word = self.scope.arch().word_bytes;
        self.with_type(Number::new(Value::Unsigned(at.0.into()), word), target.pointer(word))
    }
}
