//! The machine, operation by operation, in frames that are made up; lists and values, by what compilers write.

mod by_hand;

use std::{collections::HashMap, path::Path, sync::Arc};

use prospect_process::{Addr, Arch, ArchInfo, CapturedMemory, LinkAddr, Memory};

use super::*;
use crate::{
    Binary,
    symbol::dwarf::{DebugInfo, EntryUnit, Fuel, SplitDwarfSearch},
    testing::{TempDir, nm, run, text},
    variable::machine::{Budget, Machine},
};

/// A frame that knows what it is told.
struct Made {
    arch: Arch,
    at: u64,
    registers: HashMap<u16, u64>,
    wide: HashMap<u16, Vec<u8>>,
    memory: CapturedMemory,
    binary: Option<Arc<ModuleBinary>>,
    returns: Option<u64>,
    caller: Option<Box<Made>>,
}

impl Made {
    fn new(arch: Arch) -> Self {
        // 16 bytes at 0x7000: 1, 2, 3 …
        let memory = CapturedMemory::new((1..=16).collect(), [(Addr(0x7000), 16, 0)]);
        let registers = HashMap::from([(0, 0x1122_3344_5566_7788), (7, 0x7000), (3, 0x0102_0304)]);
        let wide = HashMap::from([(17, 2.5_f64.to_le_bytes().into_iter().chain([0; 8]).collect())]);
        Self { arch, at: 0, registers, wide, memory, binary: None, returns: None, caller: None }
    }
}

impl FrameContext for Made {
    fn arch(&self) -> &ArchInfo {
        self.arch.info()
    }
    fn at(&self) -> LinkAddr {
        LinkAddr(self.at)
    }
    fn bias(&self) -> u64 {
        0x10_0000
    }
    fn memory(&self) -> &dyn Memory {
        &self.memory
    }
    fn register(&self, number: u16) -> Option<u64> {
        self.registers.get(&number).copied()
    }
    fn register_bytes(&self, number: u16) -> Option<Vec<u8>> {
        self.wide.get(&number).cloned()
    }
    fn binary(&self) -> Option<&ModuleBinary> {
        self.binary.as_deref()
    }
    fn return_address(&self) -> Option<LinkAddr> {
        self.returns.map(LinkAddr)
    }
    fn cfa(&self) -> Option<Addr> {
        Some(Addr(0x7008))
    }
    fn caller(&self) -> Option<&dyn FrameContext> {
        self.caller.as_deref().map(|caller| caller as &dyn FrameContext)
    }
    fn thread_local(&self, offset: u64) -> Option<Addr> {
        (offset < 16).then(|| Addr(0x7000 + offset))
    }
}

fn open(path: &Path) -> Arc<DebugInfo> {
    let binary = Arc::new(Binary::open(path).unwrap());
    Arc::new(DebugInfo::open(binary, SplitDwarfSearch::beside(path), None).unwrap())
}

/// Any program, whose unit expressions are taken to be of.
fn any_program(dir: &TempDir) -> Arc<DebugInfo> {
    open(&dir.compile("any", "double d; int main(void) { return (int)d; }", &["-g", "-O1"]))
}

fn evaluate(
    debug: &Arc<DebugInfo>,
    frame: &dyn FrameContext,
    bytes: &[u8],
    size: u64,
) -> Result<Location, Unavailable> {
    let (tank, mut budget) = (debug.tank(), Budget::new());
    let found =
        debug.with_unit(0, &mut tank.fuel(), |unit: &EntryUnit<'_>, _: usize, fuel: &mut Fuel<'_>| {
            let mut machine = Machine {
                debug,
                frame,
                function: None,
                budget: &mut budget,
                fuel,
                object: Some(Addr(0x7004)),
            };
            machine.location(unit, bytes, Some(size))
        });
    found.unwrap()
}

fn read(
    debug: &Arc<DebugInfo>,
    frame: &dyn FrameContext,
    bytes: &[u8],
    size: u64,
) -> Result<Vec<u8>, Unavailable> {
    evaluate(debug, frame, bytes, size)?.read(frame, size)
}

#[test]
fn places_are_read_in_either_byte_order() {
    let dir = TempDir::new();
    let debug = any_program(&dir);
    let (little, big) = (Made::new(Arch::X86_64), Made::new(Arch::S390x));
    let both = |bytes: &[u8], size| (read(&debug, &little, bytes, size), read(&debug, &big, bytes, size));
    // DW_OP_breg7 2: memory.
    assert_eq!(both(&[0x77, 2], 2), (Ok(vec![3, 4]), Ok(vec![3, 4])));
    // DW_OP_reg0: the low bytes of a register come first, or last.
    assert_eq!(both(&[0x50], 2), (Ok(vec![0x88, 0x77]), Ok(vec![0x77, 0x88])));
    // DW_OP_lit5 DW_OP_stack_value.
    assert_eq!(both(&[0x35, 0x9f], 4), (Ok(vec![5, 0, 0, 0]), Ok(vec![0, 0, 0, 5])));
    // DW_OP_implicit_value of 2 bytes.
    assert_eq!(both(&[0x9e, 2, 8, 9], 2), (Ok(vec![8, 9]), Ok(vec![8, 9])));
    // DW_OP_reg0 DW_OP_piece 2, DW_OP_breg7 0 DW_OP_piece 2.
    let pieces = [0x50, 0x93, 2, 0x77, 0, 0x93, 2];
    assert_eq!(both(&pieces, 4), (Ok(vec![0x88, 0x77, 1, 2]), Ok(vec![0x77, 0x88, 1, 2])));
    // DW_OP_reg3 DW_OP_bit_piece 4 8, twice: bits 8 to 11 of 0x01020304.
    let bits = [0x53, 0x9d, 4, 8, 0x53, 0x9d, 4, 0];
    assert_eq!(both(&bits, 1), (Ok(vec![0x43]), Ok(vec![0x34])));
    // DW_OP_lit7 DW_OP_stack_value DW_OP_piece 1, a piece that is nowhere.
    let holes = [0x37, 0x9f, 0x93, 1, 0x93, 1];
    assert_eq!(both(&holes, 1), (Ok(vec![7]), Ok(vec![7])));
    assert_eq!(both(&holes, 2).0, Err(Unavailable::OptimisedOut));
    assert_eq!(both(&holes, 3).1, Err(Unavailable::OptimisedOut));
}

#[test]
fn parts_of_values_are_where_their_pieces_are() {
    let dir = TempDir::new();
    let (debug, frame) = (any_program(&dir), Made::new(Arch::X86_64));
    let location = evaluate(&debug, &frame, &[0x50, 0x93, 2, 0x77, 0, 0x93, 8], 10).unwrap();
    let part = |start: u64, count: u64| location.part(start * 8, Some(count * 8)).read(&frame, count);
    assert_eq!(part(0, 2), Ok(vec![0x88, 0x77]));
    assert_eq!(part(1, 2), Ok(vec![0x77, 1]));
    assert_eq!(part(3, 4), Ok(vec![2, 3, 4, 5]));
    // No piece has the last byte.
    assert_eq!(part(9, 2), Err(Unavailable::OptimisedOut));
    assert_eq!(location.part(24, Some(32)), Location::memory(Addr(0x7001)));
    // Bits 4 to 11 of the first two bytes.
    assert_eq!(location.part(4, Some(8)).read(&frame, 1), Ok(vec![0x78]));
}

#[test]
fn numbers_come_from_the_frame_and_from_memory() {
    let dir = TempDir::new();
    let (debug, frame) = (any_program(&dir), Made::new(Arch::X86_64));
    let number = |bytes: &[u8]| {
        let mut all = bytes.to_vec();
        all.push(0x9f);
        read(&debug, &frame, &all, 8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
    };
    assert_eq!(number(&[0x9c]), Ok(0x7008), "DW_OP_call_frame_cfa");
    assert_eq!(number(&[0x77, 0, 0x94, 2]), Ok(0x0201), "DW_OP_deref_size");
    assert_eq!(number(&[0x77, 0, 0x06]), Ok(0x0807_0605_0403_0201), "DW_OP_deref");
    assert_eq!(number(&[0x97]), Ok(0x7004), "DW_OP_push_object_address");
    assert_eq!(number(&[0x33, 0x9b]), Ok(0x7003), "DW_OP_form_tls_address");
    assert_eq!(number(&[0x33, 0xe0]), Ok(0x7003), "DW_OP_GNU_push_tls_address");
    assert_eq!(number(&[0x03, 4, 0, 0, 0, 0, 0, 0, 0]), Ok(0x10_0004), "DW_OP_addr");
    assert_eq!(number(&[0x08, 200, 0x12, 0x1e, 0x31, 0x25]), Ok(20_000), "dup mul lit1 shr");
    assert_eq!(number(&[0x31, 0x28, 2, 0, 0x35, 0x96, 0x36, 0xf0]), Ok(6), "bra nop uninit");
    assert_eq!(number(&[0x32, 0x33, 0x34, 0x17, 0x1c, 0x22]), Ok(3), "rot minus plus: 4 + (2 - 3)");
    assert_eq!(read(&debug, &frame, &[0x61], 8), Ok(2.5_f64.to_le_bytes().to_vec()), "xmm0");
}

#[test]
fn what_cannot_be_had_says_why() {
    let dir = TempDir::new();
    let (debug, frame) = (any_program(&dir), Made::new(Arch::X86_64));
    let error = |bytes: &[u8], size| read(&debug, &frame, bytes, size).unwrap_err();
    assert_eq!(error(&[], 4), Unavailable::OptimisedOut);
    assert_eq!(error(&[0x52], 8), Unavailable::RegisterUnknown("rcx".into()));
    assert_eq!(error(&[0x62], 8), Unavailable::RegisterUnknown("xmm1".into()));
    assert_eq!(error(&[0x50], 16), Unavailable::DoesNotFit { bytes: 16, room: 8 });
    assert_eq!(error(&[0x9e, 1, 5], 4), Unavailable::DoesNotFit { bytes: 4, room: 1 });
    assert_eq!(error(&[0x77, 0x10], 1), Unavailable::CannotRead(Addr(0x7010)));
    assert_eq!(error(&[0x77, 0x10, 0x06], 1), Unavailable::CannotRead(Addr(0x7010)));
    assert_eq!(
        error(&[0x77, 0], u64::MAX),
        Unavailable::DoesNotFit { bytes: u64::MAX, room: pieces::MOST_BYTES }
    );
    assert_eq!(error(&[0x08, 16, 0x9b], 4), Unavailable::ThreadLocalUnknown);
    assert_eq!(error(&[0xa3, 1, 0x55, 0x9f], 4), Unavailable::EntryValueUnknown);
    for broken in [
        // Goes round for ever; takes what is not there; divides by zero; is cut off; jumps away; says two places.
        &[0x2f, 0xfd, 0xff][..],
        &[0x22],
        &[0x31, 0x30, 0x1b],
        &[0x77],
        &[0x2f, 0x55, 0x55],
        &[0x50, 0x51],
        // Another address space; an entry that is not there; a frame base without a function.
        &[0x30, 0x30, 0x18],
        &[0x99, 0xff, 0xff, 0, 0],
        &[0x91, 0],
        // 3 bytes as a number of 8.
        &[0x77, 0, 0x94, 9],
    ] {
        assert!(matches!(error(broken, 4), Unavailable::NotUnderstood(_)), "{broken:x?}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let dir = TempDir::new();
    let debug = any_program(&dir);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..20_000 {
        let frame = Made::new(if round % 2 == 0 { Arch::X86_64 } else { Arch::S390x });
        let bytes: [u8; 14] = std::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        let _ = read(&debug, &frame, &bytes, 8);
    }
}

const LISTS: &str = "
volatile int sink;
#ifdef __clang__
#define OWN __attribute__((noinline))
#else
#define OWN __attribute__((noipa))
#endif
OWN void other(int x) { sink = x; }
OWN int lists(int first, int second) {
    other(second);
    other(3);
    return first;
}
int main(int argc, char **argv) { (void)argv; return lists(argc, 5); }
";

/// At every address of a function, a list says what the tool that prints lists says.
#[test]
fn location_lists_are_read_in_every_version() {
    let dir = TempDir::new();
    let versions: [(&str, &[&str]); 7] = [
        ("gcc", &["-gdwarf-3"]),
        ("gcc", &["-gdwarf-4"]),
        ("gcc", &["-gdwarf-5"]),
        ("gcc", &["-gdwarf-5", "-gsplit-dwarf"]),
        ("gcc", &["-gdwarf-4", "-gsplit-dwarf"]),
        ("clang", &["-gdwarf-5"]),
        ("clang", &["-gdwarf-5", "-gsplit-dwarf"]),
    ];
    for (number, (compiler, flags)) in versions.into_iter().enumerate() {
        let source = dir.write(&format!("lists{number}.c"), LISTS.as_bytes());
        let (object, program) = (dir.path(&format!("lists{number}.o")), dir.path(&format!("lists{number}")));
        let all = [&["-O2", "-c", text(&source), "-o", text(&object)], flags].concat();
        run(compiler, &all);
        run(compiler, &[text(&object), "-o", text(&program)]);
        let debug = open(&program);
        let symbols = nm(&program, &[]);
        let (start, size, _) = symbols.iter().find(|(_, _, name)| name == "lists").unwrap();
        let (mut in_register, mut at_entry, mut covered) = (0, 0, 0);
        for at in *start..start + size {
            let scopes = scopes::at(&debug, LinkAddr(at));
            let [scope] = scopes.as_slice() else { panic!("{compiler} {flags:?}: {scopes:?}") };
            let names: Vec<&str> = scope.variables.iter().map(|one| &*one.name).collect();
            assert_eq!(names, ["first", "second"], "{compiler} {flags:?}");
            let mut frame = Made::new(Arch::X86_64);
            frame.at = at;
            match scope.variables[0].locate(&frame).map(|found| found.location) {
                Ok(_) => covered += 1,
                // Before there were entry values.
                Err(Unavailable::OptimisedOut) => {}
                Err(error) => panic!("{compiler} {flags:?} {at:x}: {error}"),
            }
            match scope.variables[1].locate(&frame).map(|found| found.location.pieces[0].source.clone()) {
                // rdi, rsi as it comes.
                Ok(PieceSource::Register(4)) => in_register += 1,
                Err(Unavailable::EntryValueUnknown | Unavailable::OptimisedOut) => at_entry += 1,
                other => drop(other),
            }
        }
        assert!(covered > size / 2, "{compiler} {flags:?}: {covered} of {size}");
        assert!(in_register > 0 && at_entry > 0, "{compiler} {flags:?}: {in_register} {at_entry}");
    }
}
