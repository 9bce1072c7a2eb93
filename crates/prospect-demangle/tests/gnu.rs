//! Real names beside `c++filt`. `cargo xtask oracle --demangle` compares many more.

use prospect_demangle::{Demangler, Options};
use prospect_testing::{cxxfilt, library, mangled_names, require};

#[test]
fn all_names_of_the_standard_library_are_written_as_gnu_does() {
    let names = mangled_names(&require!(library("libstdc++.so.6")));
    assert!(names.len() > 3_000, "{} names", names.len());
    let theirs = require!(cxxfilt(names.iter().map(String::as_str)));
    let mut demangler = Demangler::new();
    let mut ours = String::new();
    for (name, theirs) in names.iter().zip(theirs) {
        ours.clear();
        if demangler.demangle_into(name, Options::default(), &mut ours).is_err() {
            ours.push_str(name);
        }
        assert_eq!(ours, theirs, "{name}");
    }
}
