//! How long it takes to find names in a file: `find_speed FILE PATTERN…`.

use std::{path::Path, time::Instant};

use prospect::symbols::{Binaries, DefinitionKinds, Pattern, SearchOptions};

#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, patterns) = arguments.split_first().ok_or("find_speed FILE PATTERN…")?;
    for text in patterns {
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
            if std::env::var_os("SHOW").is_some() {
                for one in &definitions {
                    println!("  {:?} {} {:?} {:x?}", one.kind, one.name, one.entry, one.code);
                }
            }
        }
    }
    Ok(())
}
