//! Addresses of lines, as gdb sets breakpoints there.

use std::{collections::BTreeSet, path::Path};

use super::open;
use crate::{
    find::SourceLine,
    testing::{TempDir, run, text},
};

pub(super) const C: &str = "#include <stdio.h>
static int counter;
static inline __attribute__((always_inline)) int twice(int number)
{
    counter += number;
    return number * 2 + counter;
}

__attribute__((noinline)) static int loop(int number)
{
    int sum = 0;
    for (int i = 0; i < number; i++) {
        sum += twice(i);
    }
    return sum;
}

__attribute__((noinline)) static int many(int a, int b, int c, char *text)
{
    char buffer[200];
    snprintf(buffer, sizeof buffer, \"%d %d %d %s\", a, b, c, text);
    return buffer[a] + twice(b);
}

int main(int count, char **arguments)
{
    int result = loop(count) + twice(count);
    if (result > 7) {
        result += many(1, 2, count, arguments[0]);
    }
    printf(\"%d\\n\", result + twice(3));
    return 0;
}
";

pub(super) const CPP: &str = "#include <cstdio>
#include <cstdlib>
namespace shapes {
template <typename T> __attribute__((noinline)) T area(T side)
{
    T result = side * side;
    return result + static_cast<T>(std::rand());
}
struct Box {
    int width;
    explicit Box(int w) : width(w)
    {
        std::puts(\"made\");
    }
    ~Box() { std::puts(\"gone\"); }
    inline int grow(int by)
    {
        width += by;
        return width;
    }
};
}
int main(int count, char **)
{
    shapes::Box box(count);
    auto bigger = [&](int by) {
        return box.grow(by) + 1;
    };
    double all = shapes::area(count) + shapes::area(1.5 * count) + shapes::area(2.5f);
    std::printf(\"%d %f\\n\", bigger(3) + box.grow(2), all);
    return 0;
}
";

pub(super) const RUST: &str = "use std::env;
#[inline(always)]
fn twice(number: usize) -> usize {
    let more = number.wrapping_mul(2);
    more + 1
}
#[inline(never)]
fn show<T: std::fmt::Debug>(value: T) -> usize {
    let text = format!(\"{value:?}\");
    text.len()
}
fn main() {
    let count = env::args().count();
    let mut sum = twice(count);
    for index in 0..count {
        sum += twice(index);
    }
    println!(\"{} {}\", show(sum), show(\"text\"));
}
";

/// The addresses of the breakpoints that gdb sets at each of these places.
pub(super) fn gdb_locations(program: &Path, places: &[&str]) -> Vec<BTreeSet<u64>> {
    let mut arguments =
        vec!["-batch".to_owned(), "-nx".into(), "-iex".into(), "set debuginfod enabled off".into()];
    for place in places {
        for command in [&format!("break {place}"), "info breakpoints", "delete", "echo ====\\n"] {
            arguments.extend(["-ex".to_owned(), command.to_owned()]);
        }
    }
    arguments.push(text(program).to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run("gdb", &arguments);
    let addresses = |part: &str| {
        let words =
            part.lines().filter(|line| !line.starts_with("Breakpoint")).flat_map(str::split_whitespace);
        words.filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect()
    };
    output.split("====").take(places.len()).map(addresses).collect()
}

/// How many lines there are that have code, and on how many of them gdb means the same addresses.
fn compare(program: &Path, file: &str, source: &str) -> (usize, usize) {
    let module = open(program);
    let places = |line: u32| {
        module.line_places(&SourceLine { file: file.to_owned(), line, after_prologue: true }, usize::MAX)
    };
    let lines: Vec<u32> = (1..=source.lines().count() as u32)
        .filter(|line| places(*line).first().is_some_and(|place| place.is_exact))
        .collect();
    let mut same = 0;
    let written: Vec<String> = lines.iter().map(|line| format!("{file}:{line}")).collect();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    for (line, theirs) in lines.iter().zip(gdb_locations(program, &written)) {
        let ours: BTreeSet<u64> = places(*line).iter().map(|place| place.address.0).collect();
        if ours == theirs {
            same += 1;
        } else {
            println!("{} line {line}: {ours:x?}, gdb {theirs:x?}", program.display());
        }
    }
    (lines.len(), same)
}

#[test]
fn breakpoints_are_where_gdb_sets_them() {
    let directory = TempDir::new();
    let (mut all, mut same) = (0, 0);
    let mut add = |program: &Path, file: &str, source: &str| {
        let found = compare(program, file, source);
        assert!(found.0 > 5, "{}", program.display());
        println!("{}: {found:?}", program.display());
        all += found.0;
        same += found.1;
    };
    for compiler in ["gcc", "clang"] {
        // How far code is optimised and how it is laid out are told apart: not all of one are tried with all of the other.
        for flags in [
            &["-O0"][..],
            &["-O0", "-no-pie", "-gdwarf-4"],
            &["-O2"],
            &["-O2", "-m32"],
            &["-O2", "-static-pie"],
            &["-O2", "-no-pie", "-gdwarf-4"],
            &["-Og"],
            &["-Og", "-m32"],
        ] {
            let flags = [&["-g"], flags].concat();
            let name = format!("{compiler}{}", flags.concat());
            let program = directory.compile_with(compiler, &name, C, &flags);
            add(&program, &format!("{name}.c"), C);
        }
    }
    for compiler in ["g++", "clang++"] {
        for flags in ["-O0", "-O2"] {
            let name = format!("{compiler}{flags}");
            let program = directory.compile_with(compiler, &name, CPP, &["-xc++", "-g", flags]);
            add(&program, &format!("{name}.c"), CPP);
        }
    }
    for level in ["0", "2"] {
        let source = directory.write(&format!("rust{level}.rs"), RUST.as_bytes());
        let program = directory.path(&format!("rust{level}"));
        let level_flag = format!("opt-level={level}");
        run("rustc", &["-g", "-C", &level_flag, text(&source), "-o", text(&program)]);
        add(&program, &format!("rust{level}.rs"), RUST);
    }
    println!("{same} of {all}");
    assert!(same * 100 >= all * 95, "{same} of {all}");
}
