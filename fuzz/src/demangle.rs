//! Mangled C++ names that compilers did not make.

use std::cell::RefCell;

use prospect_demangle::{Demangler, Options};
use prospect_testing::Random;

/// Names to begin with, one for each part of the grammar that holds others.
const NAMES: &[&str] = &[
    "_ZNSt6vectorIiSaIiEE9push_backERKi",
    "_ZZ5outerIJidPKcEEvDpT_ENKUlT_DpOT0_E_clIiJcdEEEDaS1_S3_",
    "_ZNSt8_Rb_treeISsSt4pairIKSsSsESt10_Select1stIS2_ESt4lessISsESaIS2_EE9_M_insertEPSt18_Rb_tree_node_baseS9_RKS2_",
    "_Z1fIJidEEDTcl1gspclsr3std7forwardIT_Efp_EEEDpOT_",
    "_Z1fIiENSt9enable_ifIXaasrSt7is_sameIT_iE5valuentltstS1_Li4EEvE4typeES1_",
    "_ZN1AIXadL_ZNS_1gIPFvM1BKFRA3_KcOT_ERETkS4_EEvvEEEC1Ev.isra.0",
    "_Z1fIXtl1Adi1xtlA2_iLi1ELi2EEdx3LPKc0EEEEvDv4_fU3fooIiEDF16_",
    "_ZTcv0_n24_v0_n16_NW3fooWP3bar1AcvT_IiEB5cxx11Ev",
    "_Z1fIiEDTrQT__XfpNR1CXfLplfp_Li1EEEEvQsZT_",
];
/// What names are made of, to be put where it does not belong.
const PIECES: &[&str] = &[
    "S_", "S0_", "T_", "T0_", "I", "E", "N", "X", "J", "Dp", "K", "9", "1a", "L_Z1gvE", "UlT_E_", "sr", "R",
    "PF", "A3_", "cv", "tl", "il", "DT", "Z", "Lb1E", "fp_", "sp", "B1a", "C1", "St", "M", "fL",
];

thread_local! {
    static BUFFERS: RefCell<(Demangler, String)> = RefCell::default();
}

/// A name is demangled twice with the same buffers: the answer is the same, and within its limit.
pub fn demangle(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let name = text.replace('\n', "");
    let options = Options { return_types: name.len().is_multiple_of(2), longest: 64 << 10 };
    BUFFERS.with_borrow_mut(|(demangler, first)| {
        first.clear();
        let result = demangler.demangle_into(&name, options, first);
        assert!(first.len() <= options.longest, "{} bytes of {name}", first.len());
        let mut second = "before".to_owned();
        assert_eq!(demangler.demangle_into(&name, options, &mut second), result, "{name}");
        assert_eq!(second.strip_prefix("before"), Some(first.as_str()), "{name}");
    });
}

/// A name with pieces in wrong places.
pub(crate) fn seed(random: &mut Random) -> Vec<u8> {
    let mut name = NAMES[random.below(NAMES.len())].to_owned();
    for _ in 0..random.below(6) {
        let piece = PIECES[random.below(PIECES.len())];
        let times = if random.below(8) == 0 { 1 + random.below(300) } else { 1 };
        name.insert_str(2 + random.below(name.len() - 2), &piece.repeat(times));
    }
    name.into_bytes()
}
