//! The JSON of a value; its schema is documented in docs/json.md, section "values".

use prospect::value::{
    Chars, Content, Element, Entry, Fact, Field, FieldKind, Float, Limit, Pointer, Shape, Value,
};
use serde_json::{Map, Number, json};

/// A value as JSON.
pub(crate) fn value_json(value: &Value) -> serde_json::Value {
    let mut object = Map::new();
    object.insert("type".into(), json!(&*value.type_name));
    if let Some(at) = value.address {
        object.insert("address".into(), json!(at.to_string()));
    }
    if !value.bytes.is_empty() {
        let bytes: String = value.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        object.insert("bytes".into(), json!(bytes));
    }
    if let Some(why) = value.implausible {
        object.insert("implausible".into(), json!(why));
    }
    let (kind, parts) = content(&value.content);
    object.insert("kind".into(), json!(kind));
    if let serde_json::Value::Object(parts) = parts {
        object.extend(parts.into_iter().filter(|(_, part)| !part.is_null()));
    }
    object.into()
}

/// What kind of content it is, and its parts; those that are null are left out.
fn content(content: &Content) -> (&'static str, serde_json::Value) {
    match content {
        Content::Integer(number) => ("integer", json!({ "value": whole(*number) })),
        Content::Unsigned(number) => ("integer", json!({ "value": unsigned(*number) })),
        Content::Float(number) => ("float", json!({ "value": float(*number) })),
        Content::Complex(real, imaginary) => {
            ("complex", json!({ "real": float(*real), "imaginary": float(*imaginary) }))
        }
        Content::Raw => ("raw", json!({})),
        Content::Boolean(truth) => ("boolean", json!({ "value": truth })),
        Content::Character { number, unit, .. } => {
            let text = char::from_u32(*unit).map(String::from);
            ("character", json!({ "value": whole(*number), "text": text }))
        }
        Content::Pointer(pointer) => ("pointer", self::pointer(pointer)),
        Content::MemberPointer { offset, symbol, adjustment } => {
            let (offset, adjustment) = (offset.map(whole), adjustment.map(whole));
            (
                "member_pointer",
                json!({ "offset": offset, "symbol": symbol.as_deref(), "adjustment": adjustment }),
            )
        }
        Content::Text { chars, length, cut } => {
            let (text, is_lossy) = text(chars);
            let lossy = is_lossy.then_some(true);
            ("text", json!({ "text": text, "lossy": lossy, "length": length, "cut": cut.map(limit) }))
        }
        Content::Enumerators { number, names, rest, scope } => {
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            let rest = (*rest != 0).then(|| whole(*rest));
            let scope = scope.as_deref();
            ("enumeration", json!({ "value": whole(*number), "names": names, "rest": rest, "scope": scope }))
        }
        Content::Fields { shape, fields, cut } => {
            let kind = match shape {
                Shape::Union => "union",
                Shape::Tuple => "tuple",
                _ => "structure",
            };
            let fields: Vec<_> = fields.iter().map(field).collect();
            (kind, json!({ "fields": fields, "cut": cut.map(limit) }))
        }
        Content::Elements { elements, length, is_set, cut } => {
            let elements: Vec<_> = elements.iter().map(element).collect();
            let kind = if *is_set { "set" } else { "sequence" };
            (kind, json!({ "elements": elements, "length": length, "cut": cut.map(limit) }))
        }
        Content::Entries { entries, length, cut } => {
            let entry =
                |entry: &Entry| json!({ "key": value_json(&entry.key), "value": value_json(&entry.value) });
            let entries: Vec<_> = entries.iter().map(entry).collect();
            ("map", json!({ "entries": entries, "length": length, "cut": cut.map(limit) }))
        }
        Content::Variant { name, value } => {
            ("variant", json!({ "name": &**name, "content": value.as_deref().map(value_json) }))
        }
        Content::Holder { facts, value } => {
            let number = |fact: &Fact| (fact.name.to_owned(), whole(fact.number));
            let facts: Map<String, serde_json::Value> = facts.iter().map(number).collect();
            ("holder", json!({ "state": facts, "content": value.as_deref().map(value_json) }))
        }
        Content::Nothing => ("nothing", json!({})),
        Content::Unavailable(why) => ("unavailable", json!({ "why": why.to_string() })),
        Content::Cut(cut) => ("cut", json!({ "cut": limit(*cut) })),
        _ => ("unknown", json!({})),
    }
}

fn pointer(pointer: &Pointer) -> serde_json::Value {
    json!({
        "target_address": pointer.address.map(|at| at.to_string()),
        "symbol": pointer.symbol.as_deref(),
        "target": pointer.target.as_deref().map(value_json),
    })
}

fn field(field: &Field) -> serde_json::Value {
    let role = match field.kind {
        FieldKind::Base => "base",
        FieldKind::Artificial => "artificial",
        _ => "member",
    };
    json!({ "name": &*field.name, "role": role, "value": value_json(&field.value) })
}

fn element(element: &Element) -> serde_json::Value {
    json!({ "times": element.times, "value": value_json(&element.value) })
}

/// Whole numbers that not every reader of JSON keeps exactly are strings.
fn whole(number: i128) -> serde_json::Value {
    const EXACT: i128 = 1 << 53;
    match i64::try_from(number) {
        Ok(small) if number.abs() <= EXACT => json!(small),
        _ => json!(number.to_string()),
    }
}

fn unsigned(number: u128) -> serde_json::Value {
    i128::try_from(number).map_or_else(|_| json!(number.to_string()), whole)
}

/// What JSON has no number for is a string.
fn float(number: Float) -> serde_json::Value {
    match Number::from_f64(number.value) {
        Some(number) => number.into(),
        None => json!(number.value.to_string()),
    }
}

/// Text, and whether parts of it were none.
fn text(chars: &Chars) -> (String, bool) {
    let replaced = |decoded: Vec<Option<char>>| {
        let is_lossy = decoded.contains(&None);
        (decoded.into_iter().map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(), is_lossy)
    };
    match chars {
        Chars::Bytes(bytes) => (String::from_utf8_lossy(bytes).into_owned(), str::from_utf8(bytes).is_err()),
        Chars::Utf16(units) => replaced(char::decode_utf16(units.iter().copied()).map(Result::ok).collect()),
        Chars::Utf32(units) => replaced(units.iter().map(|unit| char::from_u32(*unit)).collect()),
        _ => (String::new(), true),
    }
}

fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Depth => "depth",
        Limit::Elements => "elements",
        Limit::Text => "text",
        Limit::Values => "values",
        Limit::Bytes => "bytes",
        Limit::Cycle => "cycle",
        Limit::Implausible => "implausible",
        Limit::CannotRead => "cannot_read",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use prospect::{
        process::{Addr, Arch, ArchInfo, CapturedMemory, Memory},
        symbols::type_info::{Base, BaseEncoding, Type, TypeKind, TypeRef},
        value::{Limits, Object, ValueContext},
    };

    use super::*;

    struct Bytes(CapturedMemory);

    impl ValueContext for Bytes {
        fn memory(&self) -> &dyn Memory {
            &self.0
        }

        fn arch(&self) -> &ArchInfo {
            Arch::X86_64.info()
        }

        fn register_bytes(&self, _dwarf: u16) -> Option<Vec<u8>> {
            None
        }
    }

    fn base(name: &str, size: u64, encoding: BaseEncoding) -> TypeRef {
        let kind = TypeKind::Base(Base { encoding, swapped: false, bits: None });
        TypeRef::made(Type::new(Some(name), Some(size), kind))
    }

    fn read(bytes: &[u8], ty: TypeRef) -> serde_json::Value {
        let memory = CapturedMemory::new(bytes.to_vec(), [(Addr(0x100), bytes.len(), 0)]);
        value_json(&Value::read(&Object::at(Addr(0x100), ty), &Bytes(memory), &Limits::default()))
    }

    #[test]
    fn values_have_the_documented_shape() {
        let int = base("int", 4, BaseEncoding::Signed);
        let expected = json!({
            "type": "int", "address": "0x100", "bytes": "ffffffff", "kind": "integer", "value": -1,
        });
        assert_eq!(read(&[255; 4], int.clone()), expected);
        let repeated = read(&[0; 48], int.array(12));
        assert_eq!(repeated["kind"], "sequence");
        assert_eq!(repeated["length"], 12);
        assert_eq!(repeated["elements"][0]["times"], 12);
        assert_eq!(repeated["elements"][0]["value"]["value"], 0);
        let text = read(b"a\xff\0", base("char", 1, BaseEncoding::SignedChar).array(3));
        assert_eq!((text["text"].as_str(), text["lossy"].as_bool()), (Some("a\u{fffd}"), Some(true)));
        let large = read(&[255; 8], base("unsigned long", 8, BaseEncoding::Unsigned));
        assert_eq!(large["value"], "18446744073709551615");
        let missing = read(&[], int);
        assert_eq!(missing["kind"], "unavailable");
        assert_eq!(missing["why"], "memory at 0x100 cannot be read");
    }
}
