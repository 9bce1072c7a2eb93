use std::{collections::BTreeMap, time::Instant};

use iced_x86::{Decoder, DecoderOptions};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use prospect_process::{CapturedMemory, LinkAddr, RegisterId};
use prospect_symbols::{Binary, CfaRule, RegisterRule, UnwindRow};
use prospect_testing::{fixture, require};

use super::{
    row::id,
    state::{CFA, State, Value},
    *,
};

/// What came of comparing the analysis with the call frame information of the same code.
#[derive(Default, Debug)]
struct Agreement {
    functions: usize,
    /// With call frame information.
    instructions: usize,
    /// Of those: where the analysis knows the canonical frame address.
    answered: usize,
    /// Of those: where both say the same of it.
    same_cfa: usize,
    /// Where it cannot be said whether they do, as they count from other registers.
    other_terms: usize,
    /// Of the preserved registers where both have an answer: those that are the same.
    same_registers: usize,
    lost_registers: usize,
    /// Which of them differ.
    different: Vec<String>,
    /// The functions with instructions that are not reached or not known, and how many.
    unanswered: BTreeMap<String, usize>,
}

impl Agreement {
    fn compare(&mut self, arch: Arch, name: &str, state: &State, row: &Row, cfi: &UnwindRow, at: u64) {
        self.answered += 1;
        let CfaRule::Register(register, offset) = &cfi.cfa else {
            self.other_terms += 1;
            return;
        };
        let number = |wanted: RegisterId| (0..16).find(|number| id(arch, *number) == wanted);
        match number(*register).map(|number| state.get(number)) {
            Some(Value::At(CFA, mine)) if i64::from(mine) == -offset => self.same_cfa += 1,
            Some(Value::At(CFA, mine)) => self.different.push(format!("{name} {at:#x}: CFA {mine} {offset}")),
            _ => self.other_terms += 1,
        }
        for (saved, place) in row.saved() {
            let Some(number) = number(*saved) else { continue };
            let entry = Value::Entry(number);
            let rule = cfi.rules.iter().find(|(id, _)| id == saved).map(|(_, rule)| rule);
            let same = match rule {
                Some(RegisterRule::AtCfa(offset)) => {
                    state.load(Value::At(CFA, *offset as i32)) == entry || state.get(number) == entry
                }
                None | Some(RegisterRule::SameValue) => state.get(number) == entry,
                _ => true,
            };
            match (same, place) {
                (true, _) => self.same_registers += 1,
                (false, Saved::Lost) => self.lost_registers += 1,
                // Saved in a place of its own before the function changes it: both are true.
                (false, _) => {
                    self.different.push(format!(
                        "{name} {at:#x}: {saved:?} {place:?} {rule:?} {}",
                        state.get(number) == entry
                    ));
                }
            }
        }
    }
}

fn compare(name: &str, arch: Arch) -> Agreement {
    let program = fixture(name).unwrap();
    let bytes = std::fs::read(program.path()).unwrap();
    let file = object::File::parse(bytes.as_slice()).unwrap();
    let binary = Binary::open(&program.path()).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let (code, base) = (text.data().unwrap(), text.address());
    let data = file.section_by_name(".rodata").unwrap();
    let all = [code, data.data().unwrap()].concat();
    let ranges = [(Addr(base), code.len(), 0), (Addr(data.address()), data.size() as usize, code.len())];
    let memory = CapturedMemory::new(all, ranges);
    let functions: BTreeMap<u64, (u64, &str)> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .filter(|symbol| (base..base + code.len() as u64).contains(&symbol.address()))
        .filter(|symbol| !symbol.name().unwrap().contains(".cold"))
        .map(|symbol| (symbol.address(), (symbol.size(), symbol.name().unwrap())))
        .collect();
    let mut agreement = Agreement::default();
    let (mut decoded, mut reached, started) = (0, 0, Instant::now());
    let mut times = std::time::Duration::ZERO;
    for (start, (size, name)) in functions {
        let bytes = &code[(start - base) as usize..];
        let bytes = &bytes[..bytes.len().min(LARGEST_FUNCTION.min(size) as usize)];
        let function = FunctionCode { arch, start: Addr(start), bytes, memory: &memory };
        let rows: BTreeMap<u64, UnwindRow> = Decoder::with_ip(
            u32::from(arch.info().word_bytes) * 8,
            &bytes[..bytes.len().min(size as usize)],
            start,
            DecoderOptions::NONE,
        )
        .iter()
        .filter_map(|one| Some((one.ip(), binary.unwind_row(LinkAddr(one.ip())).ok()??)))
        .collect();
        if rows.is_empty() {
            continue;
        }
        agreement.functions += 1;
        agreement.instructions += rows.len();
        let timed = Instant::now();
        let analysis = Analysis::of(&function);
        times += timed.elapsed();
        let analysis = match analysis {
            Ok(analysis) => analysis,
            Err(why) => {
                agreement.unanswered.insert(format!("{name}: {why}"), rows.len());
                continue;
            }
        };
        decoded += analysis.len();
        let known = |at: &u64| analysis.at(Addr(*at)).is_some_and(|row| row.cfa != CfaPlace::Unknown);
        let unknown = rows.keys().filter(|at| !known(at)).count();
        agreement.unanswered.insert(name.to_owned(), unknown);
        let flow = Flow::decode(&function);
        let solved = flow.solve(arch).unwrap();
        flow.visit(&solved, |instruction, state, _| {
            let at = start + u64::from(instruction.offset);
            let (Some(cfi), Some(row)) = (rows.get(&at), analysis.at(Addr(at))) else { return };
            reached += 1;
            if row.cfa != CfaPlace::Unknown {
                agreement.compare(arch, name, state, row, cfi, at);
            }
        });
    }
    eprintln_summary(name, &agreement, decoded, reached, times, started.elapsed());
    agreement
}

#[allow(clippy::print_stderr, reason = "figures for who runs it with --nocapture")]
fn eprintln_summary(
    name: &str,
    agreement: &Agreement,
    decoded: usize,
    reached: usize,
    analysing: std::time::Duration,
    all: std::time::Duration,
) {
    let Agreement { different, .. } = agreement;
    eprintln!(
        "{name}: {} functions, {} instructions with CFI, {reached} reached, {} answered, {} same CFA, \
         {} in other terms, {} registers same, {} lost, {} differ; analysed {decoded} in {analysing:?} of {all:?}",
        agreement.functions,
        agreement.instructions,
        agreement.answered,
        agreement.same_cfa,
        agreement.other_terms,
        agreement.same_registers,
        agreement.lost_registers,
        different.len(),
    );
    let mut unanswered: Vec<_> = agreement.unanswered.iter().filter(|(_, count)| **count > 0).collect();
    unanswered.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for one in unanswered.iter().take(25) {
        eprintln!("  unanswered {one:?}");
    }
    let mut last = "";
    for one in different {
        let function = one.split(' ').next().unwrap();
        if function != last {
            last = function;
            eprintln!("  {one}");
        }
    }
}

/// Panics where the two differ in other functions than these, whose call frame information is wrong or
/// means something else: they are written by hand.
fn assert_agreement(agreement: &Agreement, by_hand: &[&str]) {
    let differ = |one: &&String| !by_hand.iter().any(|name| one.starts_with(name));
    let different: Vec<_> = agreement.different.iter().filter(differ).collect();
    assert!(different.is_empty(), "{different:#?}");
    let checked = agreement.same_cfa + agreement.different.len();
    assert!(checked + agreement.other_terms >= agreement.answered);
    assert!(agreement.other_terms * 100 < agreement.answered, "{}", agreement.other_terms);
}

#[test]
fn it_agrees_with_call_frame_information_at_every_instruction() {
    require!(fixture("deep-static"));
    let agreement = compare("deep-static", Arch::X86_64);
    // `_start` says itself that it is the outermost; `_dl_runtime_resolve` is entered with two words more.
    assert_agreement(&agreement, &["_start", "_dl_runtime_resolve", "__mpn_submul_1", "__mpn_addmul_1"]);
    assert!(agreement.answered * 100 >= agreement.instructions * 90);
}

#[test]
fn it_agrees_with_call_frame_information_of_32_bit_code() {
    require!(fixture("deep-32-static"));
    let agreement = compare("deep-32-static", Arch::I386);
    let by_hand = [
        "_start",
        "_dl_runtime_",
        "__strcasecmp_l_sse4_2",
        "memcpy",
        "__strchr_ia32",
        "__strrchr_sse2",
        "__memchr_sse2_bsf",
        "__strnlen_sse2",
        // Not by hand: sp is not known in its epilogue, so that words just popped are still believed.
        "__wcrtomb_internal",
    ];
    assert_agreement(&agreement, &by_hand);
    assert!(agreement.answered * 100 >= agreement.instructions * 80);
}

#[test]
fn any_bytes_are_survived() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for arch in [Arch::X86_64, Arch::I386] {
        for round in 0..300 {
            let words = if round % 50 == 0 { 8192 } else { random() % 256 };
            let mut bytes: Vec<u8> = (0..words).flat_map(|_| random().to_le_bytes()).collect();
            // Code that pushes, calls and jumps about.
            let often = [0x50, 0x58, 0x90, 0xeb, 0x75, 0xe8, 0x83, 0xc3];
            if round % 2 == 0 {
                bytes.iter_mut().for_each(|byte| *byte = often[usize::from(*byte) % often.len()]);
            }
            let memory = CapturedMemory::new(bytes.clone(), [(Addr(0x1000), bytes.len(), 0)]);
            let start = Addr(if round % 3 == 0 { u64::MAX - 40 } else { 0x1000 });
            if let Ok(analysis) = Analysis::of(&FunctionCode { arch, start, bytes: &bytes, memory: &memory })
            {
                assert!(analysis.len() <= MOST_INSTRUCTIONS);
            }
        }
    }
}
