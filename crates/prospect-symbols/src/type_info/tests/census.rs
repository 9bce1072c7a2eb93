//! Every type of large programs, and what gdb says of some of them.

use std::{collections::BTreeMap, path::PathBuf};

use super::{names::gdb, *};
use crate::testing::libc;

/// Enough of a program of Rust without optimisation, which has hundreds of thousands that look alike.
const ENOUGH: usize = 60_000;

/// Reads the types of a file, at most so many. Returns how many there are, and the structures with a name that no other one has.
fn census(debug: &Arc<DebugInfo>, most: usize) -> (usize, BTreeMap<String, TypeRef>) {
    let mut types = Vec::new();
    every_type::of(debug, &mut |ty| {
        types.push(ty);
        if types.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let mut named: BTreeMap<String, Vec<TypeRef>> = BTreeMap::new();
    let count = types.len();
    for ty in types {
        let found = ty.get().unwrap_or_else(|error| panic!("{ty:?}: {error}"));
        assert!(ty.name().len() < 100_000);
        let composite = found.composite().filter(|one| !one.is_declaration);
        if let (Some(name), Some(_), Some(_)) = (found.qualified_name(), composite, found.size) {
            named.entry(name).or_default().push(ty);
        }
    }
    let single = named.into_iter().filter_map(|(name, mut types)| {
        let first = types.pop()?;
        let same = |other: &TypeRef| other.size() == first.size() && layout(other) == layout(&first);
        types.iter().take(2).all(same).then_some((name, first))
    });
    (count, single.collect())
}

/// So many of them, spread over all.
fn sample(named: &BTreeMap<String, TypeRef>, count: usize) -> Vec<(&str, &TypeRef)> {
    // Names that gdb's parsers do not read are left out.
    let plain = |name: &str| !name.contains(['{', '(', '\'', '#', '$', '&', '*', '[']) && name.len() < 300;
    let usable: Vec<_> = named.iter().filter(|(name, _)| plain(name)).collect();
    let step = (usable.len() / count).max(1);
    usable.into_iter().step_by(step).map(|(name, ty)| (&**name, ty)).take(count).collect()
}

/// How many sizes and how many places of members gdb and this agree on. gdb does not find every name; where it finds one,
/// they must agree.
fn compare(path: &Path, sample: &[(&str, &TypeRef)], keyword: &str) -> (usize, usize) {
    let commands: Vec<String> = sample
        .iter()
        .flat_map(|(name, _)| {
            let name = format!("{keyword}{name}");
            [
                "echo @size\\n".into(),
                format!("print sizeof({name})"),
                "echo @layout\\n".into(),
                format!("ptype/o {name}"),
            ]
        })
        .collect();
    let lines = gdb(path, &commands).join("\n");
    let answers: Vec<&str> = lines.split("@size\n").skip(1).collect();
    assert_eq!(answers.len(), sample.len());
    let (mut sizes, mut places) = (0, 0);
    for ((name, ty), answer) in sample.iter().zip(answers) {
        let (size, layout) = answer.split_once("@layout\n").unwrap_or((answer, ""));
        if let Some(size) = size.trim().rsplit(" = ").next().and_then(|size| size.parse().ok()) {
            assert_eq!(ty.size(), Some(size), "{name}");
            sizes += 1;
        }
        for (member, place) in members(layout) {
            let (_, found) = ty.bare().unwrap();
            let mut all = found.composite().unwrap().members.iter();
            let Some(own) = all.find(|one| one.name.as_deref() == Some(member)) else {
                panic!("{name} has no {member}: {layout}");
            };
            let own = match &own.place {
                MemberPlace::Byte(at) => at * 8,
                MemberPlace::Bits { start, .. } => *start,
                MemberPlace::Computed(_) => continue,
            };
            assert_eq!(own, place, "{name}: {member} in {layout}");
            places += 1;
        }
    }
    (sizes, places)
}

/// The members of `ptype/o`'s outermost structure that it writes on one line, with their first bits.
fn members(layout: &str) -> Vec<(&str, u64)> {
    layout.lines().filter_map(one_member).collect()
}

fn one_member(line: &str) -> Option<(&str, u64)> {
    let comment_end = line.find("*/")?;
    let (place, _) = line.get(..comment_end)?.strip_prefix("/*")?.split_once('|')?;
    let declaration = line.get(comment_end + 2..)?.strip_prefix("    ")?;
    // Deeper ones belong to a member; pointers to functions have their names within.
    if declaration.starts_with(' ') || !declaration.ends_with(';') || declaration.contains(['(', '}']) {
        return None;
    }
    let declaration = declaration.trim_end_matches(';');
    let declaration = declaration.split(" : ").next()?.split('[').next()?;
    let name = declaration.rsplit([' ', '*', '&']).next()?;
    let (bytes, bits) = place.split_once(':').unwrap_or((place, "0"));
    Some((name, bytes.trim().parse::<u64>().ok()? * 8 + bits.trim().parse::<u64>().ok()?))
}

#[test]
fn every_type_of_this_program() {
    let path = std::env::current_exe().unwrap();
    let debug = open(&path);
    let (count, named) = census(&debug, ENOUGH);
    assert!(count > 10_000 && named.len() > 1000, "{count} {}", named.len());
    let vector = &named["alloc::vec::Vec<u8, alloc::alloc::Global>"];
    assert_eq!(vector.size(), Some(24));
}

const HEADERS: [&str; 24] = [
    "algorithm",
    "array",
    "atomic",
    "chrono",
    "condition_variable",
    "deque",
    "filesystem",
    "fstream",
    "functional",
    "future",
    "iostream",
    "list",
    "map",
    "memory",
    "optional",
    "queue",
    "random",
    "regex",
    "set",
    "sstream",
    "string",
    "thread",
    "unordered_map",
    "variant",
];

#[test]
fn every_type_of_a_program_with_the_standard_library() {
    let includes: String = HEADERS.iter().map(|header| format!("#include <{header}>\n")).collect();
    let source = includes
        + "std::map<std::string, std::variant<int, std::string>> m; std::regex r(\"a+\"); std::filesystem::path p;
        std::unordered_map<int, std::shared_ptr<std::deque<double>>> u; std::mt19937 g; std::future<int> f;
        int main() { std::thread t([] { std::cout << m.size() << std::regex_match(\"b\", r); }); t.join();
        std::stringstream s; s << p; std::function<int(int)> h = [](int x) { return x; }; return h(u.size()); }";
    let dir = TempDir::new();
    let path = dir.compile_with("g++", "program", &source, &["-xc++", "-g", "-std=c++17"]);
    let debug = open(&path);
    let (count, named) = census(&debug, usize::MAX);
    assert!(count > 5000 && named.len() > 500, "{count} {}", named.len());
    let (sizes, places) = compare(&path, &sample(&named, 200), "");
    assert!(sizes > 100 && places > 50, "{sizes} {places}");
}

/// The C library is C, compiled with optimisation. Only where its debug information was installed.
#[test]
fn every_type_of_the_c_library() {
    let library = Binary::open(&libc(&[])).unwrap();
    let id = library.build_id().unwrap().to_string();
    let path = PathBuf::from(format!("/usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]));
    if !path.exists() {
        eprintln!("skipped: there is no {}", path.display());
        return;
    }
    let debug = open(&path);
    let (count, named) = census(&debug, usize::MAX);
    assert!(count > 10_000 && named.len() > 200, "{count} {}", named.len());
    let structures: BTreeMap<String, TypeRef> = named
        .into_iter()
        .filter(|(_, ty)| ty.get().unwrap().composite().is_some_and(|one| one.kind == CompositeKind::Struct))
        .collect();
    let (sizes, places) = compare(&path, &sample(&structures, 200), "struct ");
    assert!(sizes > 100 && places > 300, "{sizes} {places}");
}
