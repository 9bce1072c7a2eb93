//! Many values of one type.

use std::collections::HashSet;

use prospect_process::Addr;
use prospect_symbols::{type_info::TypeRef, variable::Unavailable};

use super::Reader;
use crate::{Content, Element, Entry, Limit, Object, Value, ValueContext, ValueError, object::size_of};

/// Elements with more bytes are not compared with each other.
const MOST_COMPARED: u64 = 4096;

/// How many bytes are compared at once.
const BLOCK: u64 = 1 << 16;

/// No process has more memory than this.
const MOST_MEMORY: u64 = 1 << 57;

impl Reader<'_> {
    /// Elements that lie one behind the other in memory.
    ///
    /// # Errors
    /// When there cannot be so many, or the first one cannot be read.
    pub fn contiguous(&mut self, first: Addr, element: &TypeRef, count: u64) -> Result<Content, ValueError> {
        let stride = size_of(element, self.cx)?;
        if self.is_asked() {
            self.asked_contiguous(first, element, stride, count);
            return Ok(Content::Raw);
        }
        self.strided(first, element, stride, count)
    }

    pub(super) fn strided(
        &mut self,
        first: Addr,
        element: &TypeRef,
        stride: u64,
        count: u64,
    ) -> Result<Content, ValueError> {
        let bytes = count.checked_mul(stride).filter(|bytes| *bytes <= MOST_MEMORY);
        let bytes = bytes.ok_or(ValueError::Implausible("it has more elements than fit into memory"))?;
        if bytes > 0 {
            let wanted = self.limits.elements.min(self.values_left).min(count).saturating_mul(stride);
            self.cx.memory.prefetch(first, wanted.min(self.limits.bytes / 2));
            let read = self.cx.memory().read_up_to(first, &mut [0]);
            read.map_err(|error| Unavailable::CannotRead(error.at))?;
        }
        let (mut elements, mut index, mut cut) = (Vec::new(), 0, None);
        while index < count && cut.is_none() {
            if elements.len() as u64 >= self.limits.elements {
                cut = Some(Limit::Elements);
                break;
            }
            let at = first.wrapping_add(index * stride);
            let (value, limit) = self.one_of_many(&Object::at(at, element.clone()));
            cut = limit;
            let times = if cut.is_some() { 1 } else { self.repeats(at, stride, count - index) };
            index += times;
            elements.extend(value.map(|value| Element { value, times }));
        }
        Ok(Content::Elements { elements, length: Some(count), is_set: false, cut })
    }

    /// How often the element at an address stands there, of at most `most`.
    fn repeats(&self, at: Addr, stride: u64, most: u64) -> u64 {
        if stride == 0 {
            return most;
        }
        let mut element = vec![0; stride.min(MOST_COMPARED) as usize];
        if stride > MOST_COMPARED || self.cx.memory().read(at, &mut element).is_err() {
            return 1;
        }
        let mut times = 1;
        // Most elements differ from the next one: look at that alone first.
        let mut wanted = 1;
        while times < most {
            let mut block = vec![0; (wanted.min(most - times) * stride) as usize];
            let read = self.cx.memory().read_available(at.wrapping_add(times * stride), &mut block);
            let whole = block[..read].chunks_exact(element.len());
            let there = whole.len() as u64;
            let same = whole.take_while(|next| *next == element).count() as u64;
            times += same;
            if same < there || there < wanted {
                break;
            }
            wanted = (BLOCK / stride).max(1);
        }
        times
    }

    /// One of many values, or why there are no more.
    fn one_of_many(&mut self, object: &Object) -> (Option<Value>, Option<Limit>) {
        if self.values_left == 0 {
            return (None, Some(Limit::Values));
        }
        let value = self.value(object);
        let cut = match &value.content {
            Content::Cut(Limit::Bytes) => Some(Limit::Bytes),
            Content::Unavailable(Unavailable::CannotRead(_)) => Some(Limit::CannotRead),
            _ => None,
        };
        (Some(value), cut)
    }

    /// Elements by their index, each where `at` says.
    ///
    /// # Errors
    /// None but those of `at` for the first one.
    pub fn indexed(
        &mut self,
        count: u64,
        mut at: impl FnMut(&mut Self, u64) -> Result<Object, ValueError>,
    ) -> Result<Content, ValueError> {
        if self.is_asked() {
            self.asked_indexed(count, &mut at);
            return Ok(Content::Raw);
        }
        let mut index = 0;
        self.elements(Some(count), |reader| {
            let object = if index < count { Some(at(reader, index)?) } else { None };
            index += 1;
            Ok(object)
        })
    }

    /// Elements one after the other, until `next` gives none. Of a container that knows its length, at most so many; if it
    /// ends before, or one comes again, it is not plausible, and cut there.
    ///
    /// # Errors
    /// When the first one cannot be had.
    pub fn elements(
        &mut self,
        length: Option<u64>,
        mut next: impl FnMut(&mut Self) -> Result<Option<Object>, ValueError>,
    ) -> Result<Content, ValueError> {
        if self.is_asked() {
            self.asked_chain(length, &mut next);
            return Ok(Content::Raw);
        }
        let mut elements = Vec::new();
        let end = self.each(length, &mut next, |reader, object| {
            let (value, limit) = reader.one_of_many(object);
            elements.extend(value.map(|value| Element { value, times: 1 }));
            limit
        })?;
        let (length, cut) = (length.or(end.count), end.cut);
        Ok(Content::Elements { elements, length, is_set: false, cut })
    }

    /// The same for keys with values.
    ///
    /// # Errors
    /// When the first one cannot be had.
    pub fn entries(
        &mut self,
        length: Option<u64>,
        mut next: impl FnMut(&mut Self) -> Result<Option<(Object, Object)>, ValueError>,
    ) -> Result<Content, ValueError> {
        if self.is_asked() {
            self.asked_entries(length, &mut next);
            return Ok(Content::Raw);
        }
        let mut entries = Vec::new();
        let mut values = Vec::new();
        let mut keys = |reader: &mut Self| {
            Ok(next(reader)?.map(|(key, value)| {
                values.push(value);
                key
            }))
        };
        let mut pairs = Vec::new();
        let end = self.each(length, &mut keys, |_, key| {
            pairs.push(key.clone());
            None
        })?;
        let mut cut = end.cut;
        for (key, value) in pairs.iter().zip(&values) {
            let (Some(key), limit) = self.one_of_many(key) else {
                cut = Some(Limit::Values);
                break;
            };
            let (Some(value), value_limit) = self.one_of_many(value) else {
                cut = Some(Limit::Values);
                break;
            };
            entries.push(Entry { key, value });
            if let Some(limit) = limit.or(value_limit) {
                cut = Some(limit);
                break;
            }
        }
        Ok(Content::Entries { entries, length: length.or(end.count), cut })
    }

    /// Does something with each object, and says how it ended.
    fn each(
        &mut self,
        length: Option<u64>,
        next: &mut dyn FnMut(&mut Self) -> Result<Option<Object>, ValueError>,
        mut with: impl FnMut(&mut Self, &Object) -> Option<Limit>,
    ) -> Result<End, ValueError> {
        let mut seen = HashSet::new();
        let mut count = 0;
        loop {
            if Some(count) == length {
                return Ok(End { count: length, cut: None });
            }
            let object = match next(self) {
                Ok(Some(object)) => object,
                Ok(None) => {
                    let cut = length.is_some_and(|length| length > count).then_some(Limit::Implausible);
                    return Ok(End { count: Some(count), cut });
                }
                Err(error) if count == 0 => return Err(error),
                Err(ValueError::Unavailable(_)) => {
                    return Ok(End { count: None, cut: Some(Limit::CannotRead) });
                }
                Err(_) => return Ok(End { count: None, cut: Some(Limit::Implausible) }),
            };
            if count >= self.limits.elements {
                return Ok(End { count: None, cut: Some(Limit::Elements) });
            }
            let has_size = size_of(&object.ty, self.cx).is_ok_and(|size| size > 0);
            if has_size && object.address().is_some_and(|at| !seen.insert(at)) {
                return Ok(End { count: None, cut: Some(Limit::Cycle) });
            }
            if let Some(cut) = with(self, &object) {
                return Ok(End { count: None, cut: Some(cut) });
            }
            count += 1;
        }
    }
}

/// How the elements of a container ended.
struct End {
    /// How many there are, if they were counted.
    count: Option<u64>,
    cut: Option<Limit>,
}
