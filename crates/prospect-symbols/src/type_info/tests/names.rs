//! How types are written, beside what gdb writes.

use super::*;
use crate::testing::{run, text};

/// What gdb says, line by line, of a file that it need not run.
pub(super) fn gdb(path: &Path, commands: &[String]) -> Vec<String> {
    let mut arguments =
        vec!["-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load no"];
    for setting in ["set width 0", "set height 0", "set print max-depth -1", "set max-value-size unlimited"] {
        arguments.extend(["-ex", setting]);
    }
    for command in commands {
        arguments.extend(["-ex", command]);
    }
    arguments.push(text(path));
    run("gdb", &arguments).lines().map(ToOwned::to_owned).collect()
}

const DECLARATIONS: &str = "
int v0; unsigned char v1; long long v2; char *v3; const char *v4; char *const v5 = 0; const char *const v6 = 0;
const volatile int v7 = 0; volatile int *const *v8; int v9[3]; int v10[2][3][4]; int *v11[3]; int (*v12)[3];
int (*v13)(int, char); void (*v14)(void); int (*(*v15)(int))(char); int (*v16[3])(void); int (*(*v17)[3])(int);
char *(*v18)(const char *, ...); void *v19; const void *v20; int *restrict_; int (*(*v21)(void))[5];
struct s { int a; } v22; struct s *v23; const struct s v24 = {0}; struct s v25[2]; union u { int a; } v26;
enum e { E } v27; enum e *v28; struct { int a; } v29; union { int a; } v30; enum { F } v31; struct { int a; } *v32;
typedef int number; number v33; number *v34; const number v35 = 0; typedef int triple[3]; triple v36; triple *v37;
const triple v38 = {0}; typedef int (*handler)(int); handler v39; handler *v40; handler v41[2];
void (*v42)(handler, triple *, struct s); double v43; float v44; long double v45; char **v46; char ***v47;
const char *const *v48; int (*const v49)(void) = 0; int *const v50[2] = {0}; const int (*v51)[4];
typedef float vector __attribute__((vector_size(16))); vector v52; signed char v53; unsigned long v54; short v55;
struct s *(*v56)(struct s *, union u *, enum e); void (*v57)(int *, int[3], int (*)(void));
";
const ONLY_C: &str = "int (*w0)(); int *restrict w1; _Atomic int w2; _Bool w3; _Complex double w4;";
const ONLY_CPP: &str = "
int &w0 = v0; const int &w1 = v0; int &&w2 = 7; int (&w3)[3] = v9; char *const &w4 = v5;
class c { public: int a; int f(int) { return 0; } virtual ~c() {} class inner { int b; }; static inner part; };
c w5; c *w6; const c *w7; int c::*w8; c::inner w9; bool w10;
namespace n { struct t { int a; }; namespace { struct hidden { int b; }; } typedef t alias;
  template <class T, int N> struct box { T t[N]; }; enum class colour { red }; }
n::t w11; n::hidden w12; n::alias w13; n::box<n::t *, 3> w14; n::colour w15; wchar_t w16; char16_t w17; char32_t w18;
n::t &w19 = w11; int (*w20)(n::t &, n::hidden *); void (*w21)(int &&); short w22;
n::box<n::box<int, 2>, 4> *w23; int c::**w24;
";

/// How many of the variables gdb writes as this does; those that it does not, beside each other.
fn agreement(path: &Path, variables: &[String]) -> (usize, Vec<String>) {
    let debug = open(path);
    let commands: Vec<String> = variables.iter().map(|variable| format!("whatis {variable}")).collect();
    let said = gdb(path, &commands);
    assert_eq!(said.len(), variables.len(), "{said:?}");
    let mut different = Vec::new();
    for (variable, said) in variables.iter().zip(&said) {
        let said = said.strip_prefix("type = ").unwrap_or(said);
        let name = type_of(&debug, variable).name();
        if same(&name) != same(said) {
            different.push(format!("{variable}: {name} | {said}"));
        }
    }
    (variables.len() - different.len(), different)
}

/// Compilers and gdb have several names for some types.
fn same(name: &str) -> String {
    let pairs = [
        ("long long int", "long long"),
        ("short int", "short"),
        ("long long unsigned", "unsigned long long"),
    ];
    let pairs = pairs
        .into_iter()
        .chain([("long unsigned int", "unsigned long"), ("short unsigned", "unsigned short")]);
    pairs.fold(name.replace(" *", "*"), |name, (one, other)| name.replace(one, other))
}

fn numbered(letter: char, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{letter}{number}")).collect()
}

#[test]
fn types_are_written_as_gdb_writes_them() {
    let c = format!("{DECLARATIONS}{ONLY_C} int main(void) {{ return 0; }}");
    let cpp = format!("{DECLARATIONS}{ONLY_CPP} int main() {{ return 0; }}");
    for compiler in ["gcc", "clang"] {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            let dir = TempDir::new();
            let path = dir.compile_with(compiler, "c", &c, &["-g", version]);
            let variables = [numbered('v', 58), numbered('w', 5)].concat();
            assert_eq!(agreement(&path, &variables), (63, vec![]), "{compiler} {version}");
            // What nothing refers to is to be described too.
            let (compiler, all) =
                if compiler == "gcc" { ("g++", "-O0") } else { ("clang++", "-femit-all-decls") };
            let path = dir.compile_with(compiler, "cpp", &cpp, &["-xc++", "-g", version, all]);
            let variables = [numbered('v', 58), numbered('w', 25)].concat();
            assert_eq!(agreement(&path, &variables), (83, vec![]), "{compiler} {version}");
        }
    }
}
