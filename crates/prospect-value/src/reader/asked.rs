//! Views that are asked for one part of an object, and not for its value.
//!
//! A view tells a reader what its object is made of: elements from here on, keys with values, what a pointer owns. A reader
//! that is asked for a part goes there and stops, and reads nothing of the others. So what is shown and what expressions
//! reach is the same, with one description of it. Such a reader's contents are [`Content::Raw`], and nobody looks at them.

use prospect_process::Addr;
use prospect_symbols::type_info::{Base, BaseEncoding, Bound, Language, Type, TypeKind, TypeRef};

use super::Reader;
use crate::{Content, Limits, Object, ValueContext, ValueError, Views};

/// So many elements are passed on the way to one that has no place of its own: of lists, and of maps.
const MOST_PASSED: u64 = 1 << 20;

/// So many bytes are read on the way.
const MOST_BYTES: u64 = 64 << 20;

/// What stands between the brackets of `x[…]`: a number for what has an order, a key for what has keys.
pub trait Key {
    /// It as the number of an element.
    fn position(&self) -> Option<i128>;

    /// Whether a key of the container is the same.
    ///
    /// # Errors
    /// When it cannot be read, or cannot be compared with it.
    fn is(&self, key: &Object) -> Result<bool, ValueError>;

    /// As it is written.
    fn text(&self) -> String;
}

/// A key and its value; `None` behind the last one.
type Entry = Result<Option<(Object, Object)>, ValueError>;

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Question<'q> {
    Element(&'q dyn Key),
    Length,
    Pointee,
    Member(&'q str),
}

/// The question, and what was found so far.
pub(crate) struct Asked<'q> {
    question: Question<'q>,
    language: Language,
    answer: Option<Result<Answer, ValueError>>,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Part(Object),
    /// It is not led to, but stands for the object: the number in an atomic one.
    Itself(Object),
    Length(u64),
}

impl Views {
    /// The element of a container, by its number or its key. `None` where no view is for the object, or it has no elements.
    #[must_use]
    pub fn element(
        &self,
        object: &Object,
        key: &dyn Key,
        cx: &dyn ValueContext,
    ) -> Option<Result<Object, ValueError>> {
        self.part(object, Question::Element(key), cx)
    }

    /// What a smart pointer leads to, a lock guards or an optional value is. `None` where no view is for the object, or it
    /// is nothing like that.
    #[must_use]
    pub fn pointee(&self, object: &Object, cx: &dyn ValueContext) -> Option<Result<Object, ValueError>> {
        self.part(object, Question::Pointee, cx)
    }

    /// What its users call so, of a tuple for instance. `None` where no view is for the object, or it has no such part.
    #[must_use]
    pub fn member(
        &self,
        object: &Object,
        name: &str,
        cx: &dyn ValueContext,
    ) -> Option<Result<Object, ValueError>> {
        self.part(object, Question::Member(name), cx)
    }

    /// How many elements a container has. `None` where no view is for the object, or it has no elements.
    #[must_use]
    pub fn length(&self, object: &Object, cx: &dyn ValueContext) -> Option<Result<u64, ValueError>> {
        Some(match self.ask(object, Question::Length, cx)? {
            Ok(Answer::Length(length)) => Ok(length),
            Ok(_) => return None,
            Err(error) => Err(error),
        })
    }

    fn part(
        &self,
        object: &Object,
        question: Question<'_>,
        cx: &dyn ValueContext,
    ) -> Option<Result<Object, ValueError>> {
        Some(match self.ask(object, question, cx)? {
            Ok(Answer::Part(part) | Answer::Itself(part)) => Ok(part),
            Ok(Answer::Length(_)) => return None,
            Err(error) => Err(error),
        })
    }

    /// The answer of the view that is for an object; `None` where there is no such view, or it has none.
    pub(crate) fn ask(
        &self,
        object: &Object,
        question: Question<'_>,
        cx: &dyn ValueContext,
    ) -> Option<Result<Answer, ValueError>> {
        let (_, ty) = object.bare_type(cx).ok()?;
        let view = self.of(&ty)?;
        let mut limits = Limits::default();
        (limits.elements, limits.bytes) = (MOST_PASSED, MOST_BYTES);
        let asked = Asked { question, language: ty.language, answer: None };
        Reader::with(cx, &limits, self, Some(asked), |reader| {
            let content = view.view(object, &ty, reader);
            let answer = reader.asked.take().and_then(|asked| asked.answer);
            match (answer, content, question) {
                (Some(answer), ..) => Some(answer),
                (None, Err(error), _) => Some(Err(error)),
                (None, Ok(content), Question::Pointee) if is_empty(&content) => {
                    Some(Err(ValueError::Empty(object.ty.name())))
                }
                _ => None,
            }
        })
    }
}

/// Whether nothing is where a value could have been.
fn is_empty(content: &Content) -> bool {
    match content {
        Content::Nothing | Content::Holder { value: None, .. } => true,
        Content::Pointer(pointer) => pointer.address == Some(Addr(0)),
        _ => false,
    }
}

impl Reader<'_> {
    /// Whether one part is wanted, and not the value.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    fn answer(&mut self, answer: Result<Answer, ValueError>) {
        if let Some(asked) = &mut self.asked {
            asked.answer.get_or_insert(answer);
        }
    }

    /// It is what the object leads to.
    pub(super) fn asked_pointee(&mut self, object: &Object) {
        if matches!(&self.asked, Some(Asked { question: Question::Pointee, .. })) {
            self.answer(Ok(Answer::Part(object.clone())));
        }
    }

    /// It is a part with a name.
    pub(crate) fn asked_member(&mut self, name: &str, object: &Object) -> bool {
        if let Some(Asked { question: Question::Member(wanted), .. }) = self.asked
            && wanted == name
        {
            self.answer(Ok(Answer::Part(object.clone())));
        }
        self.is_asked()
    }

    /// The object has so many elements, which are where `at` says.
    pub(super) fn asked_indexed(
        &mut self,
        length: u64,
        at: &mut dyn FnMut(&mut Self, u64) -> Result<Object, ValueError>,
    ) {
        match self.asked.as_ref().map(|asked| asked.question) {
            Some(Question::Length) => self.answer(Ok(Answer::Length(length))),
            Some(Question::Element(key)) => {
                let found = position(key, Some(length)).and_then(|index| at(self, index));
                self.answer(found.map(Answer::Part));
            }
            _ => {}
        }
    }

    /// The same for elements that come one after the other.
    pub(super) fn asked_chain(
        &mut self,
        length: Option<u64>,
        next: &mut dyn FnMut(&mut Self) -> Result<Option<Object>, ValueError>,
    ) {
        match (self.asked.as_ref().map(|asked| asked.question), length) {
            (Some(Question::Length), Some(length)) => self.answer(Ok(Answer::Length(length))),
            (Some(Question::Length), None) => {
                let passed = self.pass(None, next, |_, _| Ok(false));
                self.answer(passed.map(|(_, count)| Answer::Length(count)));
            }
            (Some(Question::Element(key)), _) => {
                let found = position(key, length).and_then(|index| {
                    let (found, count) = self.pass(length, next, |_, at| Ok(at == index))?;
                    found.ok_or(ValueError::OutOfRange { index: index as i64, length: count })
                });
                self.answer(found.map(Answer::Part));
            }
            _ => {}
        }
    }

    /// The same for keys with values.
    pub(super) fn asked_entries(&mut self, length: Option<u64>, next: &mut dyn FnMut(&mut Self) -> Entry) {
        match (self.asked.as_ref().map(|asked| asked.question), length) {
            (Some(Question::Length), Some(length)) => self.answer(Ok(Answer::Length(length))),
            (Some(Question::Element(key)), _) => {
                let mut value = None;
                let mut keys = |reader: &mut Self| {
                    Ok(next(reader)?.map(|(key, of_key)| {
                        value = Some(of_key);
                        key
                    }))
                };
                let found = self.pass(length, &mut keys, |entry, _| key.is(entry));
                let missing = || ValueError::NoKey(key.text());
                let found = found.and_then(|(found, _)| found.and(value).ok_or_else(missing));
                self.answer(found.map(Answer::Part));
            }
            _ => {}
        }
    }

    /// Goes on to the first element that `is` it, and counts those before it.
    fn pass(
        &mut self,
        length: Option<u64>,
        next: &mut dyn FnMut(&mut Self) -> Result<Option<Object>, ValueError>,
        mut is: impl FnMut(&Object, u64) -> Result<bool, ValueError>,
    ) -> Result<(Option<Object>, u64), ValueError> {
        let (mut count, mut marked) = (0_u64, None);
        while length != Some(count)
            && let Some(object) = next(self)?
        {
            if is(&object, count)? {
                return Ok((Some(object), count));
            }
            // A chain that leads back into itself comes again to one that was marked (Brent's algorithm).
            let place = object.address().filter(|_| length.is_none());
            if place.is_some() && place == marked {
                return Err(ValueError::Implausible("it leads back into itself"));
            }
            count += 1;
            if count.is_power_of_two() {
                marked = place;
            }
            if count >= MOST_PASSED {
                return Err(ValueError::Implausible("it has more elements than are looked at"));
            }
        }
        Ok((None, count))
    }

    /// Text has its code units as elements.
    pub(super) fn asked_text(&mut self, at: Addr, length: u64, unit_bytes: u8) {
        let Some(asked) = &self.asked else { return };
        let unit = code_unit(asked.language, unit_bytes);
        self.asked_indexed(length, &mut |_, index| {
            let offset = index.wrapping_mul(unit_bytes.into());
            Ok(Object::at(at.wrapping_add(offset), unit.clone()))
        });
    }

    /// Elements from where a pointer leads to on; nobody knows how many.
    pub(crate) fn asked_unbounded(&mut self, pointer: &Object) {
        if let Some(Asked { question: Question::Element(key), .. }) = self.asked {
            let found = position(key, None).and_then(|index| {
                self.led_to(pointer)?;
                let index = i64::try_from(index)
                    .map_err(|_| ValueError::OutOfRange { index: i64::MAX, length: 0 })?;
                pointer.element(index, self.cx)
            });
            self.answer(found.map(Answer::Part));
        }
    }

    /// Elements one behind the other.
    pub(super) fn asked_contiguous(&mut self, first: Addr, element: &TypeRef, stride: u64, length: u64) {
        self.asked_indexed(length, &mut |_, index| {
            Ok(Object::at(first.wrapping_add(index.wrapping_mul(stride)), element.clone()))
        });
    }

    /// The object that is asked is just this one, which no view is for.
    pub(super) fn asked_plain(&mut self, object: &Object, ty: &Type) {
        let Some(asked) = &self.asked else { return };
        let cx = self.cx;
        match asked.question {
            Question::Element(_) | Question::Length => {
                let TypeKind::Array(array) = &ty.kind else { return };
                let Some(Bound::Fixed(length)) = array.dimensions.first().map(|first| &first.count) else {
                    return;
                };
                self.asked_indexed(*length, &mut |_, index| object.element(index as i64, cx));
            }
            Question::Pointee => {
                let answer = match ty.kind {
                    TypeKind::Pointer(_) => self.led_to(object).map(Answer::Part),
                    _ => Ok(Answer::Itself(object.clone())),
                };
                self.answer(answer);
            }
            Question::Member(name) => {
                if let Ok(member) = object.member(name, cx) {
                    self.answer(Ok(Answer::Part(member)));
                }
            }
        }
    }

    /// What a pointer leads to, if it is not null.
    fn led_to(&self, pointer: &Object) -> Result<Object, ValueError> {
        let target = pointer.dereference(self.cx)?;
        match target.address() {
            Some(Addr(0)) => Err(ValueError::Empty(pointer.ty.name())),
            _ => Ok(target),
        }
    }
}

/// The number of an element that there is.
fn position(key: &dyn Key, length: Option<u64>) -> Result<u64, ValueError> {
    let number = key.position().ok_or_else(|| ValueError::NoPosition(key.text()))?;
    let index = u64::try_from(number).ok().filter(|index| length.is_none_or(|length| *index < length));
    let shown = i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX });
    index.ok_or(ValueError::OutOfRange { index: shown, length: length.unwrap_or(0) })
}

/// The type of the parts of text.
fn code_unit(language: Language, bytes: u8) -> TypeRef {
    let (name, encoding) = match (language, bytes) {
        (Language::Rust, 1) => ("u8", BaseEncoding::Unsigned),
        (_, 1) => ("char", BaseEncoding::SignedChar),
        (_, 2) => ("char16_t", BaseEncoding::Utf),
        _ => ("char32_t", BaseEncoding::Utf),
    };
    let kind = TypeKind::Base(Base { encoding, swapped: false, bits: None });
    let mut made = Type::new(Some(name), Some(bytes.into()), kind);
    made.language = language;
    TypeRef::made(made)
}
