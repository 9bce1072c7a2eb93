//! The table of fixture programs: which source, which compiler, which flags, what is done afterwards.

/// What turns a source into a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// GNU C.
    Gcc,
    /// GNU C++.
    Gxx,
    /// Clang, for C.
    Clang,
    /// Clang, for C++.
    Clangxx,
    /// GNU C with musl as its C library.
    MuslGcc,
    /// GNU C for AArch64: programs that are read here, and not run.
    Aarch64Gcc,
    /// Rust.
    Rustc,
    /// Go.
    Go,
}

/// What is done to a program after it was linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All symbols and debug sections go; only the unwind tables stay.
    Strip,
    /// Debug sections are compressed with zstd.
    Zstd,
    /// Symbols go into an xz-compressed ELF inside `.gnu_debugdata`.
    MiniDebugInfo,
    /// Debug information goes to `NAME.debug`, named by `.gnu_debuglink` with the right CRC.
    DebugLink,
    /// The same, and then the debug file is changed, so that its CRC is wrong.
    WrongDebugLink,
    /// Debug information goes to `debug/.build-id/xx/yyyy.debug`.
    BuildIdDirectory,
    /// Split DWARF: the `.dwo` files are packed into `NAME.dwp` and removed.
    Package,
    /// The same by the GNU tool.
    PackageGnu,
    /// Part of the debug information moves to `alt.debug`, shared with a copy of the program (`dwz -m`).
    AltLink,
}

/// One fixture program.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// What tests call it.
    pub name: &'static str,
    /// The file under `fixtures/`.
    pub source: &'static str,
    /// What compiles it.
    pub compiler: Compiler,
    /// The compiler's flags, besides those that all have.
    pub flags: &'static [&'static str],
    /// What is done to it afterwards.
    pub step: Option<Step>,
    /// Sources of shared libraries that lie beside it as `libNAME.so`.
    pub libraries: &'static [&'static str],
}

const fn gcc(name: &'static str, source: &'static str, flags: &'static [&'static str]) -> Recipe {
    Recipe { name, source, compiler: Compiler::Gcc, flags, step: None, libraries: &[] }
}

impl Recipe {
    const fn by(self, compiler: Compiler) -> Self {
        Self { compiler, ..self }
    }

    const fn then(self, step: Step) -> Self {
        Self { step: Some(step), ..self }
    }

    const fn beside(self, libraries: &'static [&'static str]) -> Self {
        Self { libraries, ..self }
    }
}

const EVERY: &str = "every_instruction.c";
const EXPRESSIONS: &str = "expressions.cc";
const VARIABLES: &str = "variables.c";
const LIBRARY: &[&str] = &["variables_library.c"];
/// Library functions are bound when they are first called.
const LAZY: &str = "-Wl,-z,lazy";
/// No C library, no call frame information, and frame pointers.
const BARE: &[&str] = &[
    "-O1",
    "-nostdlib",
    "-static",
    "-fno-omit-frame-pointer",
    "-fno-asynchronous-unwind-tables",
    "-fno-stack-protector",
    "-fcf-protection=none",
];
/// Neither call frame information nor frame pointers.
const BLIND: &[&str] = &["-O2", NO_FP, "-fno-asynchronous-unwind-tables"];
const LIBCXX: &str = "-stdlib=libc++";
const NO_FP: &str = "-fomit-frame-pointer";

/// Every fixture program.
pub const CATALOGUE: &[Recipe] = &[
    // One program, built in every way that an unwinder or a symboliser must know.
    gcc("calls", "calls.c", &["-O0", "-g", "-pthread"]),
    gcc("calls-optimised", "calls.c", &["-O2", "-g", "-pthread"]),
    gcc("calls-stripped", "calls.c", &["-O2", "-s", "-pthread"]),
    gcc("crash", "crash.c", &["-O1", "-g", "-pthread"]),
    gcc("crash-32", "crash.c", &["-O1", "-g", "-pthread", "-m32"]),
    gcc("crash-static", "crash.c", &["-O1", "-g", "-pthread", "-static"]),
    gcc("deep", "deep.c", &["-O2", "-g", NO_FP]),
    gcc("deep-32", "deep.c", &["-O2", "-g", NO_FP, "-m32"]),
    gcc("deep-32-static", "deep.c", &["-O2", "-g", NO_FP, "-m32", "-static"]),
    gcc("deep-static", "deep.c", &["-O2", "-g", NO_FP, "-static"]),
    gcc("deep-aarch64-static", "deep.c", &["-O2", "-g", "-static"]).by(Compiler::Aarch64Gcc),
    gcc("deep-static-pie", "deep.c", &["-O2", "-g", NO_FP, "-static-pie"]),
    gcc("deep-no-pie", "deep.c", &["-O2", "-g", NO_FP, "-no-pie"]),
    gcc("deep-musl", "deep.c", &["-O2", "-g", NO_FP, "-DRAW_BLOCK"]).by(Compiler::MuslGcc),
    gcc("deep-musl-static", "deep.c", &["-O2", "-g", NO_FP, "-DRAW_BLOCK", "-static"]).by(Compiler::MuslGcc),
    gcc("deep-musl-libc", "deep.c", &["-O2", "-g", NO_FP]).by(Compiler::MuslGcc),
    gcc("deep-clang", "deep.c", &["-O2", "-g", NO_FP]).by(Compiler::Clang),
    gcc("deep-dwarf4", "deep.c", &["-O2", "-gdwarf-4", NO_FP]),
    gcc("deep-dwarf5", "deep.c", &["-O2", "-gdwarf-5", NO_FP]),
    gcc("deep-zlib", "deep.c", &["-O2", "-g", NO_FP, "-gz=zlib"]),
    gcc("deep-zstd", "deep.c", &["-O2", "-g", NO_FP]).then(Step::Zstd),
    gcc("deep-debug-frame", "deep.c", &["-O2", "-g", NO_FP, "-fno-asynchronous-unwind-tables"]),
    gcc("deep-no-header", "deep.c", &["-O2", "-g", NO_FP, "-Wl,--no-eh-frame-hdr"]),
    gcc(
        "deep-frame-pointers",
        "deep.c",
        &["-O2", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
    ),
    gcc("deep-stripped", "deep.c", &["-O2", NO_FP]).then(Step::Strip),
    gcc("deep-mini-debug", "deep.c", &["-O2", "-g", NO_FP]).then(Step::MiniDebugInfo),
    gcc("deep-debuglink", "deep.c", &["-O2", "-g", NO_FP]).then(Step::DebugLink),
    gcc("deep-wrong-debuglink", "deep.c", &["-O2", "-g", NO_FP, "-Wl,--build-id=none"])
        .then(Step::WrongDebugLink),
    gcc("deep-build-id", "deep.c", &["-O2", "-g", NO_FP, "-Wl,--build-id"]).then(Step::BuildIdDirectory),
    gcc("deep-dwo", "deep.c", &["-O2", "-g", NO_FP, "-gsplit-dwarf"]),
    gcc("deep-dwo4", "deep.c", &["-O2", "-gdwarf-4", NO_FP, "-gsplit-dwarf"]),
    gcc("deep-dwp", "deep.c", &["-O2", "-gdwarf-5", NO_FP, "-gsplit-dwarf"])
        .by(Compiler::Clang)
        .then(Step::Package),
    gcc("deep-dwp4", "deep.c", &["-O2", "-gdwarf-4", NO_FP, "-gsplit-dwarf"]).then(Step::PackageGnu),
    gcc("inlines-dwz", "inlines.c", &["-O2", "-g", NO_FP]).then(Step::AltLink),
    // Inlined calls and names.
    gcc("inlines", "inlines.c", &["-O2", "-g", NO_FP]),
    gcc("inlines-dwarf4", "inlines.c", &["-O2", "-gdwarf-4", NO_FP]),
    gcc("inlines-dwo", "inlines.c", &["-O2", "-g", NO_FP, "-gsplit-dwarf"]),
    gcc("inlines-clang", "inlines.c", &["-O2", "-g", NO_FP]).by(Compiler::Clang),
    gcc("inlines-32", "inlines.c", &["-O2", "-g", NO_FP, "-m32"]),
    gcc("inlines-cxx", "inlines.cc", &["-O2", "-g", NO_FP]).by(Compiler::Gxx),
    gcc("inlines-rust", "inlines.rs", &["-O", "-g"]).by(Compiler::Rustc),
    gcc("values-gcc", "values.c", &["-O0", "-g"]),
    gcc("values-gcc-optimised", "values.c", &["-O2", "-g", "-gdwarf-4"]),
    gcc("values-clang", "values.c", &["-O2", "-g"]).by(Compiler::Clang),
    gcc("values-cxx", "values.cc", &["-O0", "-g", "-std=c++20"]).by(Compiler::Gxx),
    gcc("values-cxx-optimised", "values.cc", &["-O2", "-g", "-gdwarf-4", "-std=c++20"]).by(Compiler::Gxx),
    gcc("values-cxx-clang", "values.cc", &["-O0", "-g", "-std=c++20"]).by(Compiler::Clangxx),
    gcc("values-libcxx", "values.cc", &["-O0", "-g", "-std=c++20", LIBCXX]).by(Compiler::Clangxx),
    gcc("values-libcxx-optimised", "values.cc", &["-O2", "-g", "-std=c++20", LIBCXX]).by(Compiler::Clangxx),
    gcc("values-rust", "values.rs", &["-g"]).by(Compiler::Rustc),
    gcc("values-rust-optimised", "values.rs", &["-O", "-g"]).by(Compiler::Rustc),
    // Locals that expressions lead through.
    gcc("expressions-cxx", EXPRESSIONS, &["-O0", "-g", "-std=c++20"]).by(Compiler::Gxx),
    gcc("expressions-cxx-optimised", EXPRESSIONS, &["-O2", "-g", "-std=c++20"]).by(Compiler::Gxx),
    gcc("expressions-libcxx", EXPRESSIONS, &["-O0", "-g", "-std=c++20", LIBCXX]).by(Compiler::Clangxx),
    gcc("expressions-rust", "expressions.rs", &["-g"]).by(Compiler::Rustc),
    gcc("expressions-rust-optimised", "expressions.rs", &["-O", "-g"]).by(Compiler::Rustc),
    gcc("expressions-rust-v0", "expressions.rs", &["-g", "-C", "symbol-mangling-version=v0"])
        .by(Compiler::Rustc),
    gcc("names-cxx", "names.cc", &["-O1", "-g", NO_FP]).by(Compiler::Gxx),
    gcc("names-cxx-no-debug", "names.cc", &["-O1", NO_FP]).by(Compiler::Gxx),
    gcc("names-rust", "names.rs", &["-O", "-g"]).by(Compiler::Rustc),
    gcc("names-rust-v0", "names.rs", &["-O", "-g", "-C", "symbol-mangling-version=v0"]).by(Compiler::Rustc),
    gcc("names-rust-v0-no-debug", "names.rs", &["-O", "-C", "symbol-mangling-version=v0"])
        .by(Compiler::Rustc),
    // Variables.
    gcc("avx512", "avx512.c", &["-O2", "-g", "-mavx512f"]),
    gcc("tail-calls", "tail_calls.c", &["-O2", "-g"]),
    gcc("tail-calls-dwarf4", "tail_calls.c", &["-O2", "-gdwarf-4"]),
    gcc("tail-calls-dwo", "tail_calls.c", &["-O2", "-g", "-gsplit-dwarf"]),
    gcc("tail-calls-clang", "tail_calls.c", &["-O2", "-gdwarf-5"]).by(Compiler::Clang),
    gcc("variables-o0", VARIABLES, &["-O0", "-g"]).beside(LIBRARY),
    gcc("variables-og", VARIABLES, &["-Og", "-g"]).beside(LIBRARY),
    gcc("variables-o2", VARIABLES, &["-O2", "-g"]).beside(LIBRARY),
    gcc("variables-dwarf2", VARIABLES, &["-O2", "-gdwarf-2", "-gstrict-dwarf"]).beside(LIBRARY),
    gcc("variables-dwarf3", VARIABLES, &["-O0", "-gdwarf-3"]).beside(LIBRARY),
    gcc("variables-dwarf4", VARIABLES, &["-O2", "-gdwarf-4"]).beside(LIBRARY),
    gcc("variables-dwo", VARIABLES, &["-O2", "-g", "-gsplit-dwarf"]).beside(LIBRARY),
    gcc("variables-dwo4", VARIABLES, &["-O2", "-gdwarf-4", "-gsplit-dwarf"]).beside(LIBRARY),
    gcc("variables-dwz", VARIABLES, &["-O2", "-g"]).beside(LIBRARY).then(Step::AltLink),
    gcc("variables-static", VARIABLES, &["-O2", "-g", "-static"]).beside(LIBRARY),
    gcc("variables-libpthread", VARIABLES, &["-O2", "-g", "-Wl,--no-as-needed", "-l:libpthread.so.0"])
        .beside(LIBRARY),
    gcc("variables-32", VARIABLES, &["-O2", "-g", "-m32", "-msse2", "-mfpmath=sse"]),
    gcc("variables-32-o0", VARIABLES, &["-O0", "-g", "-m32", "-msse2", "-mfpmath=sse"]),
    gcc("variables-clang", VARIABLES, &["-O2", "-g"]).by(Compiler::Clang).beside(LIBRARY),
    gcc("variables-clang-o0", VARIABLES, &["-O0", "-gdwarf-5"]).by(Compiler::Clang).beside(LIBRARY),
    gcc("variables-clang-dwo", VARIABLES, &["-O2", "-gdwarf-5", "-gsplit-dwarf"])
        .by(Compiler::Clang)
        .beside(LIBRARY),
    gcc("variables-musl", VARIABLES, &["-O2", "-g"]).by(Compiler::MuslGcc).beside(LIBRARY),
    gcc("variables-cxx", "variables.cc", &["-O2", "-g"]).by(Compiler::Gxx),
    gcc("variables-cxx-o0", "variables.cc", &["-O0", "-g"]).by(Compiler::Gxx),
    gcc("variables-rust", "variables.rs", &["-g"]).by(Compiler::Rustc),
    gcc("variables-rust-o2", "variables.rs", &["-O", "-g"]).by(Compiler::Rustc),
    // Signals, odd rules, odd places.
    gcc("returns", "returns.c", &["-O2", "-g", NO_FP]),
    gcc(
        "returns-frame-pointers",
        "returns.c",
        &["-O2", "-g", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables"],
    ),
    gcc("sigalt", "sigalt.c", &["-O2", "-g", NO_FP]),
    gcc("sigalt-32", "sigalt.c", &["-O2", "-g", NO_FP, "-m32"]),
    gcc("sigalt-musl", "sigalt.c", &["-O2", "-g", NO_FP, "-DRAW_BLOCK"]).by(Compiler::MuslGcc),
    gcc("plt", "plt.c", &["-O2", "-g", NO_FP]),
    gcc("noreturn", "noreturn.c", &["-O2", "-g", NO_FP, "-falign-functions=1", "-fno-toplevel-reorder"]),
    gcc(
        "noreturn-32",
        "noreturn.c",
        &["-O2", "-g", NO_FP, "-falign-functions=1", "-fno-toplevel-reorder", "-m32"],
    ),
    gcc("realign", "realign.c", &["-O2", "-g", NO_FP, "-mno-avx"]),
    gcc("dlopen", "dlopen.c", &["-O2", "-g", NO_FP]).beside(&["library.c"]),
    gcc("modules", "modules.c", &["-O2", "-g", NO_FP]).beside(&["library.c"]),
    gcc("memfd", "memfd.c", &["-O2", "-g", NO_FP]).beside(&["library.c"]),
    gcc("vdso", "vdso.c", &["-O2", "-g", NO_FP]),
    gcc("by-hand", "by_hand.c", &["-nostdlib", "-static", "-no-pie"]).then(Step::Strip),
    gcc("by-hand-named", "by_hand.c", &["-nostdlib", "-static", "-no-pie"]),
    gcc("jit", "jit.c", &["-O2", "-g", NO_FP]),
    gcc("bottom", "bottom.c", BARE),
    gcc("bottom-stripped", "bottom.c", BARE).then(Step::Strip),
    gcc("wander", "wander.c", BLIND),
    gcc("wander-stripped", "wander.c", BLIND).then(Step::Strip),
    // States of threads and processes.
    gcc("vfork", "vfork.c", &["-O2", "-g", NO_FP]),
    gcc("zombie-leader", "zombie_leader.c", &["-O2", "-g", NO_FP]),
    gcc("pages", "pages.c", &["-O2", "-g"]),
    gcc("pages-32", "pages.c", &["-O2", "-g", "-m32"]),
    // Functions that are bound when they are first called leave copies of vector registers on the stack.
    gcc("secrets", "secrets.c", &["-O0", "-g", "-Wl,-z,now"]),
    gcc("secrets-32", "secrets.c", &["-O0", "-g", "-m32", "-Wl,-z,now"]),
    gcc("typed-secrets", "typed_secrets.cc", &["-O0", "-g", "-std=c++20", "-Wl,-z,now"]).by(Compiler::Gxx),
    gcc("threads", "threads.c", &["-O2", "-g", NO_FP]),
    gcc("threads-32", "threads.c", &["-O2", "-g", NO_FP, "-m32"]),
    gcc("snapshot", "snapshot.c", &["-O2", "-g"]),
    gcc("snapshot-32", "snapshot.c", &["-O2", "-g", "-m32"]),
    gcc("places", "places.c", &["-O2", "-g"]),
    gcc("threads-musl", "threads.c", &["-O2", "-g", NO_FP]).by(Compiler::MuslGcc),
    gcc("threads-musl-stripped", "threads.c", &["-O2", NO_FP, "-static"])
        .by(Compiler::MuslGcc)
        .then(Step::Strip),
    gcc("deep-musl-stripped", "deep.c", &["-O2", NO_FP, "-DRAW_BLOCK", "-static"])
        .by(Compiler::MuslGcc)
        .then(Step::Strip),
    gcc("signals", "signals.c", &["-O2", "-g", NO_FP]),
    gcc("churn", "churn.c", &["-O2", "-g", NO_FP]),
    gcc("tracer", "tracer.c", &["-O2", "-g", NO_FP]),
    gcc("exiting", "exiting.c", &["-O2", "-g", NO_FP]),
    gcc("orders", "orders.c", &["-O2", "-g", NO_FP]),
    gcc("controlled", "controlled.c", &["-O2", "-g", NO_FP]),
    gcc("restarted", "restarted.c", &["-O2", "-g", NO_FP, "-pthread"]),
    gcc("visits", "visits.c", &["-O2", "-g", NO_FP]).beside(&["visited.c"]),
    gcc("invoked", "invoked.c", &["-O2", "-g", NO_FP, "-pthread"]),
    gcc("steps", "steps.c", &["-O0", "-g"]),
    gcc("results", "results.c", &["-O0", "-g"]),
    gcc("strides", "strides.cc", &["-O0", "-g", "-Wl,-z,lazy"]).by(Compiler::Gxx),
    gcc("strides-optimised", "strides.cc", &["-O2", "-g"]).by(Compiler::Gxx),
    gcc("controlled-32", "controlled.c", &["-O2", "-g", NO_FP, "-m32"]),
    gcc("steps-32", "steps.c", &["-O0", "-g", "-m32"]),
    gcc("strides-rust", "strides.rs", &["-g"]).by(Compiler::Rustc),
    gcc("panics-rust", "panics.rs", &["-g"]).by(Compiler::Rustc),
    gcc("controlled-unmoved", "controlled.c", &["-O2", "-g", "-DUNMOVED"]),
    gcc("goroutines", "goroutines.go", &[]).by(Compiler::Go),
    // To be run instruction by instruction.
    gcc("flags", "flags.c", &["-O2", "-mno-red-zone"]),
    gcc("flags-32", "flags.c", &["-O2", "-m32"]),
    gcc("every", EVERY, &["-O2", "-g", NO_FP, LAZY]),
    gcc("every-o0", EVERY, &["-O0", "-g", LAZY]),
    gcc("every-o3", EVERY, &["-O3", "-g", NO_FP, LAZY]),
    gcc("every-size", EVERY, &["-Os", "-g", NO_FP, LAZY]),
    gcc("every-fp", EVERY, &["-O2", "-g", "-fno-omit-frame-pointer", LAZY]),
    gcc("every-cet", EVERY, &["-O2", "-g", "-fcf-protection=full", LAZY]),
    gcc("every-avx", EVERY, &["-O2", "-g", NO_FP, "-mavx2", "-fstack-protector-all", LAZY]),
    gcc("every-static", EVERY, &["-O2", "-g", NO_FP, "-static"]),
    gcc("every-32", EVERY, &["-O2", "-g", NO_FP, "-m32", LAZY]),
    gcc("every-32-o0", EVERY, &["-O0", "-g", "-m32", LAZY]),
    gcc("every-32-fp", EVERY, &["-O2", "-g", "-fno-omit-frame-pointer", "-m32", LAZY]),
    gcc("every-32-static", EVERY, &["-O2", "-g", NO_FP, "-m32", "-static"]),
    gcc("every-clang", EVERY, &["-O2", "-g", NO_FP, LAZY]).by(Compiler::Clang),
    gcc("every-clang-o0", EVERY, &["-O0", "-g", LAZY]).by(Compiler::Clang),
    gcc("every-clang-o3", EVERY, &["-O3", "-g", NO_FP, LAZY]).by(Compiler::Clang),
    gcc("every-musl", EVERY, &["-O2", "-g", NO_FP]).by(Compiler::MuslGcc),
    gcc("throws", "throws.cc", &["-O2", "-g", NO_FP, LAZY]).by(Compiler::Gxx),
    gcc("throws-o0", "throws.cc", &["-O0", "-g", LAZY]).by(Compiler::Gxx),
    gcc("throws-32", "throws.cc", &["-O2", "-g", NO_FP, "-m32", LAZY]).by(Compiler::Gxx),
    // The measured programs, and the bare ones that mark what the machine can do at best.
    gcc("bench-deep", "bench/deep.c", &["-O2", "-g", NO_FP]),
    gcc("bench-calls", "bench/calls.c", &["-O2", "-g", "-pthread"]),
    gcc("bench-threads", "bench/threads.c", &["-O2", "-g", NO_FP]),
    gcc("bench-bigmem", "bench/bigmem.c", &["-O2", "-g"]),
    gcc("bench-cycle-limit", "bench/cycle_limit.c", &["-O2", "-g"]),
    gcc("bench-walk-limit", "bench/walk_limit.c", &["-O2", "-g"]),
    gcc("bench-limit", "bench/limit.c", &["-O2", "-g"]),
    gcc("bench-measure", "bench/measure.c", &["-O2", "-g"]),
    gcc("bench-rust", "bench/nested.rs", &["-g"]).by(Compiler::Rustc),
];
