//! Values of real programs: their global variables, read from live processes, compared with what they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod c;
mod cxx;
mod rust;
mod subject;
