use std::{collections::BTreeMap, time::Instant};

use iced_x86::{Decoder, DecoderOptions};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use prospect_process::{CapturedMemory, LinkAddr, RegisterId};
use prospect_symbols::{Binary, CfaRule, RegisterRule, UnwindRow};
use prospect_testing::{Random, fixture, require};

use super::{
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
    fn compare(&mut self, name: &str, state: &State, row: &Row, cfi: &UnwindRow, at: u64) {
        self.answered += 1;
        let CfaRule::Register(register, offset) = &cfi.cfa else {
            self.other_terms += 1;
            return;
        };
        match state.get(register.0) {
            Value::At(CFA, mine) if i64::from(mine) == -offset => self.same_cfa += 1,
            Value::At(CFA, mine) => self.different.push(format!("{name} {at:#x}: CFA {mine} {offset}")),
            _ => self.other_terms += 1,
        }
        for (saved, place) in row.saved() {
            let RegisterId(number) = *saved;
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
        let function = FunctionCode { arch, start: Addr(start), bytes, is_whole: true, memory: &memory };
        let row = |at: u64| Some((at, binary.unwind_row(LinkAddr(at)).ok()??));
        let bytes_within = &bytes[..bytes.len().min(size as usize)];
        let rows: BTreeMap<u64, UnwindRow> = match arch {
            Arch::Aarch64 => (start..).step_by(4).take(bytes_within.len() / 4).filter_map(row).collect(),
            _ => {
                let bits = u32::from(arch.info().word_bytes) * 8;
                let decoder = Decoder::with_ip(bits, bytes_within, start, DecoderOptions::NONE);
                decoder.into_iter().filter_map(|one| row(one.ip())).collect()
            }
        };
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
        decoded += analysis.instructions.len();
        let known = |at: &u64| {
            analysis.row(CodeAddress::Exact(Addr(*at))).is_some_and(|row| row.cfa != CfaPlace::Unknown)
        };
        let unknown = rows.keys().filter(|at| !known(at)).count();
        agreement.unanswered.insert(name.to_owned(), unknown);
        let code = Code::decode(&function, isa(arch).unwrap(), arch == Arch::I386);
        let flow = Flow::solve(&code, arch.info(), State::entry(arch.info())).unwrap();
        flow.visit(|_, instruction, state, _| {
            let at = start + u64::from(instruction.offset);
            let (Some(cfi), Some(row)) = (rows.get(&at), analysis.row(CodeAddress::Exact(Addr(at)))) else {
                return;
            };
            reached += 1;
            if row.cfa != CfaPlace::Unknown {
                agreement.compare(name, state, &row, cfi, at);
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

/// Functions whose call frame information says something else than their code does, and why.
type Exceptions = &'static [(&'static str, &'static str)];

const NO_CALLER: &str = "it has no caller, and says so";
const FROM_STUB: &str = "a stub that pushed words jumps to it: it counts from the stack before them";
const PUSHES: &str =
    "written by hand: it pushes and pops registers of which its call frame information says nothing";
const WRONG_WAY: &str = "written by hand: its call frame information counts a push as a pop";
const ORDER: &str = "written by hand: its call frame information has the registers saved in another order";
const BEHIND_RETURN: &str =
    "written by hand: behind a return, its call frame information still counts what was popped";

const X86_64: Exceptions = &[
    ("_start", NO_CALLER),
    ("_dl_runtime_resolve_fxsave", FROM_STUB),
    ("_dl_runtime_resolve_xsave", FROM_STUB),
    ("_dl_runtime_resolve_xsavec", FROM_STUB),
    ("__mpn_submul_1", PUSHES),
    ("__mpn_addmul_1", PUSHES),
];

const I386: Exceptions = &[
    ("_start", NO_CALLER),
    ("_dl_runtime_resolve", FROM_STUB),
    ("_dl_runtime_resolve_shstk", FROM_STUB),
    ("_dl_runtime_profile_shstk", FROM_STUB),
    ("memcpy", PUSHES),
    ("__strchr_ia32", WRONG_WAY),
    ("__strcasecmp_l_sse4_2", BEHIND_RETURN),
    ("__strcasecmp_l_ssse3", BEHIND_RETURN),
    ("__memchr_sse2_bsf", BEHIND_RETURN),
    ("__strnlen_sse2", BEHIND_RETURN),
    ("__strrchr_sse2", ORDER),
    ("__strrchr_sse2_bsf", ORDER),
];

const AARCH64: Exceptions = &[
    ("_start", NO_CALLER),
    (
        "_dl_runtime_profile",
        "written by hand: before its jumps, its call frame information still counts the frame that it gave back",
    ),
];

fn assert_agreement(agreement: &Agreement, exceptions: Exceptions) {
    let function = |one: &String| one.split(' ').next().unwrap().to_owned();
    let differ = |one: &&String| exceptions.iter().all(|(name, _)| *name != function(one));
    let different: Vec<_> = agreement.different.iter().filter(differ).collect();
    assert!(different.is_empty(), "{different:#?}");
    let checked = agreement.same_cfa + agreement.different.len();
    assert!(checked + agreement.other_terms >= agreement.answered);
    assert!(agreement.other_terms * 100 < agreement.answered, "{}", agreement.other_terms);
    // Most of the rest is what fills the room between loops, and never runs.
    assert!(agreement.answered * 100 >= agreement.instructions * 95);
}

#[test]
fn it_agrees_with_call_frame_information_at_every_instruction() {
    require!(fixture("deep-static"));
    assert_agreement(&compare("deep-static", Arch::X86_64), X86_64);
}

#[test]
fn it_agrees_with_call_frame_information_of_32_bit_code() {
    require!(fixture("deep-32-static"));
    assert_agreement(&compare("deep-32-static", Arch::I386), I386);
}

/// The row before an instruction of 32-bit code that lies at 0x1000.
fn row_of_32_bit_code(code: &[u8], offset: u64) -> Option<Row> {
    let memory = CapturedMemory::new(code.to_vec(), [(Addr(0x1000), code.len(), 0)]);
    let function =
        FunctionCode { arch: Arch::I386, start: Addr(0x1000), bytes: code, is_whole: false, memory: &memory };
    Analysis::of(&function).unwrap().row(CodeAddress::Exact(Addr(0x1000 + offset)))
}

#[test]
fn a_called_function_may_take_its_arguments_off_the_stack() {
    let esp = Arch::I386.info().sp;
    // push $1; push $2; call 1f; ret; nop; nop; 1: xor %eax, %eax; ret $8
    let pops = [0x6a, 1, 0x6a, 2, 0xe8, 3, 0, 0, 0, 0xc3, 0x90, 0x90, 0x31, 0xc0, 0xc2, 8, 0];
    assert_eq!(row_of_32_bit_code(&pops, 4).map(|row| row.cfa), Some(CfaPlace::Register(esp, 12)));
    assert_eq!(row_of_32_bit_code(&pops, 9).map(|row| row.cfa), Some(CfaPlace::Register(esp, 4)));
    // The caller does it: push $1; call 1f; pop %ecx; ret; nop; 1: ret
    let keeps = [0x6a, 1, 0xe8, 3, 0, 0, 0, 0x59, 0xc3, 0x90, 0xc3];
    assert_eq!(row_of_32_bit_code(&keeps, 7).map(|row| row.cfa), Some(CfaPlace::Register(esp, 8)));
    assert_eq!(row_of_32_bit_code(&keeps, 8).map(|row| row.cfa), Some(CfaPlace::Register(esp, 4)));
}

/// What looks functions up puts the address over a word that was pushed, and returns to it.
#[test]
fn a_return_to_what_was_just_put_there_is_a_jump() {
    // push %eax; mov %ecx, (%esp); ret $12
    let code = [0x50, 0x89, 0x0c, 0x24, 0xc2, 0x0c, 0];
    let esp = Arch::I386.info().sp;
    assert_eq!(row_of_32_bit_code(&code, 4).map(|row| row.cfa), Some(CfaPlace::Register(esp, 8)));
}

#[test]
fn the_kernel_gives_back_sp() {
    // push %ebp; mov %esp, %ebp; sysenter; pop %ebp; ret
    let code = [0x55, 0x89, 0xe5, 0x0f, 0x34, 0x5d, 0xc3];
    let esp = Arch::I386.info().sp;
    assert_eq!(row_of_32_bit_code(&code, 5).map(|row| row.cfa), Some(CfaPlace::Register(esp, 8)));
    assert_eq!(row_of_32_bit_code(&code, 6).map(|row| row.cfa), Some(CfaPlace::Register(esp, 4)));
}

/// An exception comes to code that nothing else leads to, with the stack as at calls.
#[test]
fn where_exceptions_are_caught_the_stack_is_as_at_calls() {
    // push %rbx; call *%rax; pop %rbx; ret; nop; mov %rax, %rdi; call *%rax; ud2
    let code = [0x53, 0xff, 0xd0, 0x5b, 0xc3, 0x90, 0x48, 0x89, 0xc7, 0xff, 0xd0, 0x0f, 0x0b];
    let memory = CapturedMemory::new(code.to_vec(), [(Addr(0x1000), code.len(), 0)]);
    let arch = Arch::X86_64;
    let function = FunctionCode { arch, start: Addr(0x1000), bytes: &code, is_whole: true, memory: &memory };
    let analysis = Analysis::of(&function).unwrap();
    let row = analysis.row(CodeAddress::Exact(Addr(0x1006))).unwrap();
    assert_eq!(row.cfa, CfaPlace::Register(arch.info().sp, 16));
    // The call may have thrown behind where another part of the function had changed it.
    let rbx = arch.info().by_name("rbx").unwrap();
    assert!(row.saved().contains(&(rbx, Saved::AtCfa(-16))));
}

/// Room on the stack that is touched page by page, as compilers do against clashing stacks.
#[test]
fn a_loop_that_takes_room_is_followed() {
    // lea -0x3000(%esp), %eax; 1: sub $0x1000, %esp; orl $0, (%esp); cmp %eax, %esp; jne 1b; sub $0xc, %esp;
    // xor %eax, %eax; add $0x300c, %esp; ret
    let code = [
        0x8d, 0x84, 0x24, 0, 0xd0, 0xff, 0xff, 0x81, 0xec, 0, 0x10, 0, 0, 0x83, 0x0c, 0x24, 0, 0x39, 0xc4,
        0x75, 0xf2, 0x83, 0xec, 0x0c, 0x31, 0xc0, 0x81, 0xc4, 0x0c, 0x30, 0, 0, 0xc3,
    ];
    let info = Arch::I386.info();
    let cfa = |offset| row_of_32_bit_code(&code, offset).map(|row| row.cfa);
    assert_eq!(cfa(13), Some(CfaPlace::Register(info.by_name("eax").unwrap(), 0x3004)), "in the loop");
    assert_eq!(cfa(24), Some(CfaPlace::Register(info.sp, 0x3010)));
    assert_eq!(cfa(32), Some(CfaPlace::Register(info.sp, 4)));
}

#[test]
fn it_agrees_with_call_frame_information_of_aarch64_code() {
    require!(fixture("deep-aarch64-static"));
    assert_agreement(&compare("deep-aarch64-static", Arch::Aarch64), AARCH64);
}

#[test]
fn any_bytes_are_survived() {
    let mut random = Random::new(0x9e37_79b9);
    // Code that pushes, calls and jumps about.
    let often = [0x50, 0x58, 0x90, 0xeb, 0x75, 0xe8, 0x83, 0xc3, 0xff, 0xe0, 0x29, 0xc4];
    for arch in [Arch::X86_64, Arch::I386, Arch::Aarch64] {
        for round in 0..300 {
            let length = if round % 50 == 0 { LARGEST_FUNCTION as usize } else { random.below(2048) };
            let mut bytes: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
            if round % 2 == 0 {
                bytes.iter_mut().for_each(|byte| *byte = often[usize::from(*byte) % often.len()]);
            }
            let memory = CapturedMemory::new(bytes.clone(), [(Addr(0x1000), bytes.len(), 0)]);
            let start = Addr(if round % 3 == 0 { u64::MAX - 40 } else { 0x1000 });
            let is_whole = round % 4 < 2;
            let function = FunctionCode { arch, start, bytes: &bytes, is_whole, memory: &memory };
            let Ok(analysis) = Analysis::of(&function) else { continue };
            assert!(analysis.instructions.len() <= MOST_INSTRUCTIONS);
            let pc = Addr(start.0.saturating_add(random.below(length.max(1)) as u64));
            let row = analysis.row(CodeAddress::Exact(pc));
            assert_eq!(
                Analysis::of(&function).unwrap().row(CodeAddress::Exact(pc)),
                row,
                "the same each time"
            );
        }
    }
}
