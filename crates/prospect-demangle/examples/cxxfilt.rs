//! Demangles the names of stdin, one a line, as `c++filt -i` does; names that are none stay as they are. With `--time`,
//! says how long a name takes instead.

use std::io::{self, Read, Write};
use std::time::Instant;

use prospect_demangle::{Demangler, Options};

fn main() -> io::Result<()> {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let names: Vec<&str> = input.lines().collect();
    let mut demangler = Demangler::new();
    let mut output = String::new();
    if std::env::args().any(|argument| argument == "--time") {
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            for name in &names {
                output.clear();
                let _ = demangler.demangle_into(name, Options::default(), &mut output);
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        return writeln!(io::stdout(), "{:.0} ns/name", best * 1e9 / names.len() as f64);
    }
    for name in names {
        if demangler.demangle_into(name, Options::default(), &mut output).is_err() {
            output.push_str(name);
        }
        output.push('\n');
    }
    io::stdout().write_all(output.as_bytes())
}
