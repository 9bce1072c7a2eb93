//! What the code does to the stack leads to the same callers as the tables of the compiler.

use prospect_process::Arch;
use prospect_stack::{Frame, Trust};

use crate::{
    load::Stopped,
    walk::{Steppers, walk},
};

#[test]
fn it_finds_what_the_tables_say() {
    let mut agreed = [0; 3];
    for (name, stopped) in Stopped::all() {
        let arch = stopped.registers.arch();
        let Some(index) = [Arch::X86_64, Arch::I386, Arch::Aarch64].iter().position(|one| *one == arch)
        else {
            continue;
        };
        let (by_tables, by_code) = (walk(&stopped, Steppers::Standard), walk(&stopped, Steppers::Analysis));
        let places = |frames: &[Frame]| -> Vec<_> {
            frames.iter().map(|frame| (frame.code, frame.registers.sp())).collect()
        };
        // What it is sure of. The programs have no symbols, so that many starts of functions are guesses.
        let sure = by_code.frames.iter().take_while(|frame| frame.trust >= Trust::Analysed).count();
        let common = sure.min(by_tables.frames.len());
        assert_eq!(places(&by_code.frames[..common]), places(&by_tables.frames[..common]), "{name}");
        for (code, table) in by_code.frames.iter().zip(&by_tables.frames).take(common) {
            for (row, value) in code.registers.known() {
                let id = arch.info().by_name(row.name).unwrap();
                let same = table.registers.get(id).is_none_or(|other| other == value);
                assert!(same, "{name}: {} of {}", row.name, table.code.addr());
            }
        }
        agreed[index] += common.saturating_sub(1);
    }
    assert!(agreed.iter().all(|frames| *frames >= 20), "{agreed:?}");
}
