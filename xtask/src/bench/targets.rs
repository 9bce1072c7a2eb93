//! The measured programs that need more than a compiler call: a C++ program with a hundred megabytes of DWARF, and
//! very many libraries.

use std::{fmt::Write, fs, path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use crate::workspace;

/// How many units the C++ program has.
const UNITS: usize = 48;

/// The big C++ program, built once: about 110 MB of debug sections.
pub(super) fn big_cxx() -> Result<PathBuf> {
    let home = workspace::scratch_directory("bench-cxx")?;
    let program = home.join("big");
    if program.exists() {
        return Ok(program);
    }
    println!("building the big C++ program; that takes minutes, once");
    fs::write(home.join("main.cc"), MAIN)?;
    for unit in 0..UNITS {
        fs::write(home.join(format!("unit{unit}.cc")), source(unit)?)?;
    }
    // Two at a time. What was compiled before somebody lost patience is not compiled again.
    let script = "set -e; export FIXTURES=\"$1\"; \
        ls *.cc | sed 's/[.]cc$//' | xargs -P 2 -I{} sh -c 'test -e {}.o || { \
            timeout 600 g++ -std=c++17 -O1 -g -fomit-frame-pointer -I \"$FIXTURES\" -c {}.cc -o {}.new && mv {}.new {}.o; }'; \
        g++ -o big.new *.o -pthread; rm -f *.o; mv big.new big";
    let fixtures = fs::canonicalize(prospect_testing::fixtures_directory())?;
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(fixtures).current_dir(&home).status()?;
    ensure!(status.success(), "the big C++ program does not build");
    Ok(program)
}

/// A directory with 200 libraries: copies of one, which are 200 modules all the same.
pub(super) fn libraries() -> Result<String> {
    let home = workspace::scratch_directory("bench-modules")?;
    let program = prospect_testing::fixture("modules").map_err(|missing| anyhow::anyhow!("{missing}"))?;
    for number in 0..200 {
        fs::copy(program.directory().join("liblibrary.so"), home.join(format!("lib{number:03}.so")))?;
    }
    Ok(home.to_string_lossy().into_owned())
}

const MAIN: &str = r#"#include "bench/gap.h"
long unit_0(long);
OWN long at_the_end(long x) {
    ready();
    block();
    AFTER_CALL();
    return x;
}
int main() {
    gap_start();
    return (int)unit_0(1);
}
"#;

/// One unit: much of the standard library, instantiated, and a call of the next unit through all of it.
fn source(unit: usize) -> Result<String> {
    let next = if unit + 1 < UNITS { format!("unit_{}", unit + 1) } else { "at_the_end".to_owned() };
    let mut text = String::new();
    for header in [
        "algorithm",
        "deque",
        "filesystem",
        "functional",
        "future",
        "iostream",
        "list",
        "map",
        "memory",
        "optional",
        "random",
        "regex",
        "set",
        "sstream",
        "string",
        "tuple",
        "unordered_map",
        "variant",
        "vector",
    ] {
        writeln!(text, "#include <{header}>")?;
    }
    let body = UNIT.replace("UNIT", &unit.to_string()).replace("NEXT", &next);
    Ok(text + &body)
}

const UNIT: &str = r#"
long NEXT(long);
namespace sUNIT {
template <int N> struct Tree {
    using Leaf = std::variant<long, double, std::string, std::shared_ptr<Tree<N>>>;
    std::map<std::string, std::vector<Leaf>> kept;
    std::unordered_map<int, std::list<std::tuple<int, std::string, double>>> index;
    std::optional<std::set<long>> numbers;
    std::deque<std::future<long>> later;

    long go(const std::function<long(long)> &then) {
        for (int turn = 0; turn < 3; turn++) {
            kept[std::to_string(turn * N)].push_back(std::string("leaf"));
            index[turn].emplace_back(turn, "x", 1.5);
        }
        numbers.emplace(std::set<long>{3, 1, 2});
        long sum = 0;
        for (auto &[name, leaves] : kept)
            for (auto &leaf : leaves)
                sum += std::visit([](auto &value) -> long { return (long)sizeof value; }, leaf);
        std::vector<std::pair<long, std::string>> order{{2, "b"}, {1, "a"}};
        std::sort(order.begin(), order.end(), [](auto &a, auto &b) { return a.first < b.first; });
        std::mt19937_64 random(N);
        std::ostringstream out;
        out << random() << std::filesystem::path("a/b").filename();
        std::smatch found;
        std::string text = "abc42";
        std::regex_match(text, found, std::regex("([a-z]+)([0-9]+)"));
        return then(sum + (long)found.size() + (long)out.str().size());
    }
};
struct Step {
    virtual ~Step() = default;
    virtual long take(long x) {
        Tree<UNIT> first;
        Tree<1000 + UNIT> second;
        return first.go([&](long y) { return second.go([&](long z) { return NEXT(x + y + z) + 1; }); }) + 1;
    }
};
}
long unit_UNIT(long x) {
    std::unique_ptr<sUNIT::Step> step = std::make_unique<sUNIT::Step>();
    return step->take(x) + 1;
}
"#;
