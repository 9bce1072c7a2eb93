//! What is remembered of types is what is read.

use super::*;
use crate::type_info::every_type;

const SOURCE: &str = "
namespace a { namespace b { struct point { int x, y; }; typedef point pair; typedef const pair fixed; enum class colour { red }; }
  namespace { struct hidden { b::pair at; }; } struct outer { struct inner { b::fixed *to; }; inner in; }; }
typedef a::b::fixed deep; typedef deep deeper; typedef int triple[3]; typedef volatile triple changing;
struct later; typedef later unknown; typedef void nothing;
deeper one = {}; a::hidden two; a::outer three; changing four; a::b::colour five; unknown *six; nothing *seven;
int main() { return 0; }
";

/// All that can be asked of a type.
fn said(ty: &TypeRef) -> String {
    format!("{ty:?} {} {:?} {:?} {:?} {:?}", ty.name(), ty.size(), ty.outline(), ty.bare(), ty.bare_outline())
}

#[test]
fn what_is_remembered_of_types_is_what_was_read() {
    for compiler in ["g++", "clang++"] {
        let dir = TempDir::new();
        let debug = open(&dir.compile_with(compiler, "types", SOURCE, &["-xc++", "-g", "-O0"]));
        let mut types = Vec::new();
        every_type::of(&debug, &mut |ty| {
            types.push(ty);
            ControlFlow::Continue(())
        });
        assert!(types.len() > 15, "{}", types.len());
        let read: Vec<String> = types.iter().map(said).collect();
        let remembered = RememberedTypes::of(&debug);
        for _ in 0..3 {
            for (ty, read) in types.iter().zip(&read) {
                assert_eq!(said(ty), *read, "{compiler}");
            }
        }
        drop(remembered);
        for (ty, read) in types.iter().zip(&read) {
            assert_eq!(said(ty), *read, "{compiler}");
            let TypeRef(Source::Entry(source, at)) = ty else { panic!("{ty:?} is of no file") };
            assert!(source.known_bare(*at).is_none(), "nobody holds what is remembered");
        }
    }
}
