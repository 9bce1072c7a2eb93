//! Has a process call one of its functions: `invoke PID FUNCTION [NUMBER|TEXT]…`. A number is given as a whole number, anything else as a pointer to
//! a copy of the text.
#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use std::error::Error;

use prospect::{
    OpenOptions,
    debug::{
        breakpoint::BreakpointSpec,
        invoke::{self, Argument, Invocation},
    },
    live::Controlled,
    process::{ProcessId, Target as _},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(process), Some(function)) = (words.next(), words.next()) else {
        return Err("PID FUNCTION [NUMBER|TEXT]…".into());
    };
    let arguments = words.map(|word| match word.parse::<i64>() {
        Ok(number) => Argument::Integer(number.cast_unsigned()),
        Err(_) => Argument::Bytes([word.as_bytes(), b"\0"].concat()),
    });
    let (process, arguments) = (ProcessId(process.parse()?), arguments.collect());
    let mut controlled = Controlled::attach(process)?;
    let binaries = OpenOptions::new().new_binaries();
    let spec: BreakpointSpec = function.parse()?;
    let found = spec.resolve(controlled.process(process)?, &binaries, true, &|_| Err("no expression".into()));
    let at = found.places.first().ok_or("there is no such function")?.at;
    let what = Invocation::new(at, arguments);
    println!("{:?}", invoke::invoke(&mut controlled, &binaries, process, process.into(), &what)?);
    Ok(())
}
