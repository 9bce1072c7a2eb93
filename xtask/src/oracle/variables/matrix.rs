//! The programs whose variables are compared: three languages, their compilers, and every kind of debug information.

use prospect_testing::{Compiler, Missing, Recipe, Running, Step, fixture, python_threads_of};

use crate::oracle::programs::{self, Program};

/// A program that can be started.
pub(super) struct Subject {
    /// What its rows are summed up under.
    pub(super) group: &'static str,
    pub(super) name: String,
    start: Start,
}

enum Start {
    Built(&'static Recipe, &'static [&'static str]),
    Fixture(&'static str, &'static [&'static str]),
    Python(&'static str),
    Own,
}

/// Flags, and what is done behind them.
type Form = (&'static str, &'static [&'static str], Option<Step>);

const FORMS: &[Form] = &[
    ("plain", &[], None),
    ("dwo", &["-gsplit-dwarf"], None),
    ("dwp", &["-gsplit-dwarf"], Some(Step::Package)),
    ("dwz", &[], Some(Step::AltLink)),
    ("zstd", &[], Some(Step::Zstd)),
];

const LEVELS: &[&str] = &["-O0", "-Og", "-O2"];

/// All programs, or those of a short run.
pub(super) fn all(quick: bool) -> Vec<Subject> {
    let mut all = Vec::new();
    let c = [("gcc", Compiler::Gcc, "variables.c"), ("clang", Compiler::Clang, "variables.c")];
    let cxx = [("g++", Compiler::Gxx, "variables.cc"), ("clang++", Compiler::Clangxx, "variables.cc")];
    for (name, compiler, source) in c.into_iter().chain(cxx) {
        let is_clang = matches!(compiler, Compiler::Clang | Compiler::Clangxx);
        for level in LEVELS {
            for version in ["-gdwarf-4", "-gdwarf-5"] {
                for (form, flags, step) in FORMS {
                    let is_new = version == "-gdwarf-5";
                    let step = match (*form, is_clang, is_new) {
                        // dwz does not know the forms of Clang's DWARF 5. Of GCC's, LLVM's packer does not come to an end,
                        // and the GNU one packs nothing newer than DWARF 4.
                        ("dwz", true, true) | ("dwp", false, true) => continue,
                        ("dwp", false, false) => Some(Step::PackageGnu),
                        _ => *step,
                    };
                    let flags = [&[level, version], *flags].concat();
                    all.push(built(name, (compiler, source), form, flags, step));
                }
            }
        }
    }
    for level in LEVELS {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            // The program keeps a number in a vector register.
            let of_32_bits = |flags: &[&'static str]| {
                [&[*level, version, "-m32", "-msse2", "-mfpmath=sse"], flags].concat()
            };
            for (name, compiler, source) in [
                ("gcc -m32", Compiler::Gcc, "variables.c"),
                ("g++ -m32", Compiler::Gxx, "variables.cc"),
                ("clang -m32", Compiler::Clang, "variables.c"),
            ] {
                for (form, split) in [("plain", &[][..]), ("dwo", &["-gsplit-dwarf"])] {
                    all.push(built(name, (compiler, source), form, of_32_bits(split), None));
                }
            }
        }
        for version in ["-Cdwarf-version=4", "-Cdwarf-version=5"] {
            for (form, split, step) in [
                ("plain", "-Csplit-debuginfo=off", None),
                ("dwo", "-Csplit-debuginfo=unpacked", None),
                ("dwp", "-Csplit-debuginfo=packed", None),
                ("zstd", "-Csplit-debuginfo=off", Some(Step::Zstd)),
            ] {
                let level = match *level {
                    "-O0" => "-Copt-level=0",
                    "-Og" => "-Copt-level=1",
                    _ => "-Copt-level=2",
                };
                let flags = vec![level, "-g", version, split];
                all.push(built("rustc", (Compiler::Rustc, "variables.rs"), form, flags, step));
            }
        }
    }
    if quick {
        all = all.into_iter().step_by(7).collect();
    }
    for (name, words) in [
        ("variables-o2", &["spin"][..]),
        ("variables-o2", &["signal"]),
        ("variables-o0", &["thread"]),
        ("variables-static", &[]),
        ("variables-musl", &[]),
        ("variables-dwarf2", &[]),
        ("variables-dwarf3", &[]),
        ("names-cxx", &[]),
        ("names-rust", &[]),
        ("inlines-cxx", &[]),
        ("tail-calls", &["one"]),
        ("tail-calls", &["two"]),
        ("tail-calls", &["either"]),
        ("tail-calls", &["unknown"]),
        ("tail-calls", &["again"]),
        ("tail-calls-dwarf4", &["one"]),
        ("tail-calls-dwo", &["one"]),
        ("tail-calls-clang", &["one"]),
        ("tail-calls-clang", &["again"]),
        ("avx512", &[]),
        ("deep", &["30"]),
        ("threads", &["10", "6"]),
        ("sigalt", &[]),
        ("bench-rust", &[]),
    ] {
        let start = Start::Fixture(name, words);
        all.push(Subject { group: "fixtures", name: [&[name], words].concat().join(" "), start });
    }
    for program in ["/usr/bin/python3", "/usr/bin/python3.11-dbg"] {
        all.push(Subject { group: "python", name: program.to_owned(), start: Start::Python(program) });
    }
    all.push(Subject { group: "own", name: "xtask".to_owned(), start: Start::Own });
    all
}

fn built(
    group: &'static str,
    (compiler, source): (Compiler, &'static str),
    form: &str,
    flags: Vec<&'static str>,
    step: Option<Step>,
) -> Subject {
    let name = format!("{group} {} {form}", flags[..2].join(" "));
    // They live as long as this program does.
    let recipe = Recipe {
        name: Box::leak(name.replace([' ', '='], "-").into_boxed_str()),
        source,
        compiler,
        flags: Box::leak(flags.into_boxed_slice()),
        step,
        libraries: &[],
    };
    Subject { group, name, start: Start::Built(Box::leak(Box::new(recipe)), &[]) }
}

impl Subject {
    /// Starts it, and waits until it stays where it is.
    pub(super) fn start(&self) -> Result<Program, Missing> {
        let running = match self.start {
            Start::Built(recipe, words) => Running::start_restless(&mut recipe.fixture()?.command(words)),
            Start::Fixture(name, words) => Running::start_restless(&mut fixture(name)?.command(words)),
            Start::Python(path) => python_threads_of(path)?,
            Start::Own => programs::parked_xtask()?,
        };
        running.settle();
        Ok(Program::new(&self.name, running))
    }
}
