//! How long it takes to find names and lines in a file: `find_speed FILE PATTERN|FILE:LINE…`.

use std::{path::Path, time::Instant};

use prospect::symbols::{Binaries, DefinitionKinds, Pattern, SearchOptions, SourceLine};

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, patterns) = arguments.split_first().ok_or("find_speed FILE PATTERN…")?;
    for text in patterns {
        if let Some(line) = SourceLine::parse(text) {
            let module = Binaries::new(SearchOptions::default()).open(Path::new(file))?;
            let start = Instant::now();
            let places = module.line_places(&SourceLine { after_prologue: true, ..line }, usize::MAX);
            println!("{text}: {} places {:.1?}", places.len(), start.elapsed());
            continue;
        }
        let pattern = Pattern::parse(text)?;
        for kinds in [DefinitionKinds::CODE, DefinitionKinds::ALL] {
            // Opened anew, so that nothing is known from before.
            let module = Binaries::new(SearchOptions::default()).open(Path::new(file))?;
            let start = Instant::now();
            let symbols = module.symbols(&pattern, usize::MAX);
            let after_symbols = start.elapsed();
            let definitions = module.definitions(&pattern, kinds, usize::MAX);
            println!(
                "{text}: {} symbols {after_symbols:.1?}, {} definitions {:.1?}",
                symbols.len(),
                definitions.len(),
                start.elapsed() - after_symbols,
            );
        }
    }
    Ok(())
}
