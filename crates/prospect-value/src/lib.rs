//! Values of programs as data.
//!
//! - An [`Object`] is something of the program that has a type and a place: a variable, a member of one, what a pointer
//!   leads to, the result of an expression.
//! - [`Value::read`] reads one as a tree of plain data, within [`Limits`]. What cannot be had stands in it where it
//!   would have been: memory that is not readable, what was optimised out, what a limit cut.
//! - A [`View`] shows the types of a library as what they are to its users: a vector as its elements. [`Views`] has those
//!   of libstdc++, libc++ and Rust's standard library; users add their own.
//! - [`Text`](text::Text) writes a value as its language does.
//!
//! The memory of the program is not trusted: whatever it holds, reading ends, and in bounded memory.

mod bits;
mod context;
mod error;
pub mod expression;
mod float;
mod limits;
mod member_place;
mod object;
mod page_cache;
mod reader;
mod scalar;
#[cfg(test)]
mod tests;
mod value;

pub mod text;
pub mod views;

pub use context::ValueContext;
pub use error::ValueError;
pub use float::FloatFormat;
pub use limits::{Limit, Limits};
pub use object::{MemberObject, Object};
pub use reader::{Key, Reader};
pub use value::{Chars, Content, Element, Entry, Fact, Field, FieldKind, Float, Pointer, Shape, Value};
pub use views::{View, Views};
