//! Small minidumps of all systems, made by hand from `minidumpapiset.h`, so that readers are not tested with what the same
//! hands wrote for them alone.

/// Where the program of a [`sample_minidump`] is, its stacks are, and memory of it that is listed by itself.
pub const SAMPLE_CODE: u64 = 0x1_0000;
/// The stack of the first thread; that of the second is 64 KiB above.
pub const SAMPLE_STACK: u64 = 0x7f00_0000;
/// The heap, which a list of all memory has.
pub const SAMPLE_HEAP: u64 = 0x2000_0000;

/// `PROCESSOR_ARCHITECTURE_…` and `VER_PLATFORM_…` of samples, and whether they are big-endian: Windows and Linux on x86_64,
/// Windows on x86, macOS on AArch64, Linux on AArch64, macOS on PowerPC.
pub const SAMPLES: [(u16, u32, bool); 6] = [
    (9, 2, false),
    (9, 0x8201, false),
    (0, 2, false),
    (12, 0x8101, false),
    (12, 0x8203, false),
    (3, 0x8101, true),
];

/// The file of a minidump that grows.
struct Builder {
    big_endian: bool,
    bytes: Vec<u8>,
    streams: Vec<(u32, u32, u32)>,
}

impl Builder {
    fn number(&self, value: u64, width: usize) -> Vec<u8> {
        if self.big_endian {
            value.to_be_bytes()[8 - width..].to_vec()
        } else {
            value.to_le_bytes()[..width].to_vec()
        }
    }

    /// Numbers, each with its width.
    fn numbers(&self, numbers: &[(u64, usize)]) -> Vec<u8> {
        numbers.iter().flat_map(|(value, width)| self.number(*value, *width)).collect()
    }

    fn words(&self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.number((*word).into(), 4)).collect()
    }

    fn set(&self, bytes: &mut [u8], at: usize, value: u64, width: usize) {
        bytes[at..at + width].copy_from_slice(&self.number(value, width));
    }

    /// Adds bytes, and gives their length and their place.
    fn place(&mut self, bytes: &[u8]) -> [u32; 2] {
        let at = self.bytes.len() as u32;
        self.bytes.extend(bytes);
        [bytes.len() as u32, at]
    }

    fn text(&mut self, text: &str) -> u32 {
        let units: Vec<u16> = text.encode_utf16().collect();
        let mut bytes = self.number(2 * units.len() as u64, 4);
        bytes.extend(units.iter().flat_map(|unit| self.number((*unit).into(), 2)));
        self.place(&bytes)[1]
    }

    fn utf8(&mut self, text: &str) -> u32 {
        let mut bytes = self.number(text.len() as u64, 4);
        bytes.extend(text.as_bytes());
        self.place(&bytes)[1]
    }

    fn stream(&mut self, kind: u32, bytes: &[u8]) {
        let [length, at] = self.place(bytes);
        self.streams.push((kind, length, at));
    }

    /// A `CONTEXT` of a machine with this pc and sp.
    fn context(&self, machine: u16, pc: u64, sp: u64) -> Vec<u8> {
        // Length, where the flags are and what; where pc and sp are, and how wide.
        let (length, flags_at, flags, pc_at, sp_at, width) = match machine {
            9 => (0x4d0, 0x30, 0x10_000f, 0xf8, 0x98, 8),
            0 => (0x2cc, 0, 0x1_003f, 0xb8, 0xc4, 4),
            12 => (912, 0, 0x40_0007, 264, 256, 8),
            _ => (1004, 0, 0x2000_0001, 4, 16, 4),
        };
        let mut context = vec![0; length];
        self.set(&mut context, flags_at, flags, 4);
        self.set(&mut context, pc_at, pc, width);
        self.set(&mut context, sp_at, sp, width);
        context
    }

    fn finish(mut self) -> Vec<u8> {
        let directory = self.bytes.len() as u32;
        for (kind, length, at) in self.streams.clone() {
            let entry = self.words(&[kind, length, at]);
            self.bytes.extend(entry);
        }
        let header =
            self.words(&[0x504d_444d, 0xa793, self.streams.len() as u32, directory, 0, 1_700_000_000, 2, 0]);
        self.bytes[..32].copy_from_slice(&header);
        self.bytes
    }
}

/// A sound minidump of threads 1 and 2, of which the second crashed, with streams of nearly all kinds.
#[must_use]
pub fn sample_minidump((machine, platform, big_endian): (u16, u32, bool)) -> Vec<u8> {
    let mut dump = Builder { big_endian, bytes: vec![0; 32], streams: Vec::new() };
    let is_windows = platform == 2;
    let service_pack = dump.text("Version 1 of all");
    let mut system = dump.numbers(&[(machine.into(), 2), (6, 2), (1, 2), (4, 1), (1, 1)]);
    system.extend(dump.words(&[10, 1, 19045, platform, service_pack, 0]));
    system.resize(56, 0);
    dump.stream(7, &system);
    let mut misc = dump.words(&[1364, 3, 77, 1_600_000_000, 5, 6]);
    misc.resize(1364, 0);
    dump.stream(15, &misc);
    threads(&mut dump, machine);
    modules(&mut dump, platform);
    let code = dump.place(&[0x90; 64]);
    let mut list = dump.numbers(&[(1, 4), (SAMPLE_CODE + 0x100, 8)]);
    list.extend(dump.words(&code));
    dump.stream(5, &list);
    exception(&mut dump, machine, platform);
    if is_windows {
        let mut infos = dump.numbers(&[(16, 4), (48, 4), (3, 8)]);
        for (start, length, state, protection) in [
            (SAMPLE_CODE, 0x1000, 0x1000, 0x20),
            (SAMPLE_STACK, 0x2_0000, 0x1000, 4),
            (0x4000_0000, 0x1000, 0x1_0000, 1),
        ] {
            infos.extend(dump.numbers(&[(start, 8), (start, 8), (4, 4), (0, 4), (length, 8)]));
            infos.extend(dump.words(&[state, protection, 0x2_0000, 0]));
        }
        dump.stream(16, &infos);
    } else {
        dump.stream(0x4767_0004, b"Name:\tprogram\nPid:\t77\nPPid:\t5\n");
        dump.stream(0x4767_0006, b"./program\0\0-x\0");
        dump.stream(0x4767_0003, b"processor\t: 0\nmodel name\t: A processor\n");
    }
    others(&mut dump);
    // All memory comes last, one behind the other.
    let at = dump.bytes.len() as u64 + 16 + 2 * 16;
    let ranges = [(2, 8), (at, 8), (SAMPLE_HEAP, 8), (16, 8), (SAMPLE_HEAP + 0x1000, 8), (8, 8)];
    let list = dump.numbers(&ranges);
    dump.stream(9, &list);
    dump.place(b"sixteen of bytesand more");
    dump.finish()
}

fn threads(dump: &mut Builder, machine: u16) {
    let mut list = dump.words(&[2]);
    let mut names = dump.words(&[2]);
    let mut times = dump.words(&[12, 64, 2]);
    for number in 1..=2u64 {
        let stack = SAMPLE_STACK + (number - 1) * 0x1_0000;
        let bytes = dump.place(&[number as u8; 256]);
        let context = dump.context(machine, SAMPLE_CODE + number, stack + 16);
        let context = dump.place(&context);
        list.extend(dump.numbers(&[(number, 4), (0, 4), (0, 4), (0, 4), (0x7000 + number, 8), (stack, 8)]));
        list.extend(dump.words(&[bytes[0], bytes[1], context[0], context[1]]));
        let name = dump.text(&format!("thread {number}"));
        names.extend(dump.numbers(&[(number, 4), (name.into(), 8)]));
        times.extend(dump.numbers(&[
            (number, 4),
            (0, 4),
            (0, 4),
            (0, 4),
            (0, 8),
            (0, 8),
            (10_000_000, 8),
            (20_000_000, 8),
        ]));
        times.extend(dump.numbers(&[(SAMPLE_CODE, 8), (1, 8)]));
    }
    dump.stream(3, &list);
    dump.stream(24, &names);
    dump.stream(17, &times);
}

fn modules(dump: &mut Builder, platform: u32) {
    let is_windows = platform == 2;
    let path = if is_windows { "C:\\bin\\program.exe" } else { "/bin/program" };
    let name = dump.text(path);
    let record = if platform == 0x8201 || platform == 0x8203 {
        [&dump.words(&[0x4270_454c])[..], b"build-id of twenty b"].concat()
    } else {
        let guid = dump.numbers(&[(0x5344_5352, 4), (0x0102_0304, 4), (0x0506, 2), (0x0708, 2)]);
        [&guid[..], &[9, 10, 11, 12, 13, 14, 15, 16], &dump.words(&[3]), b"program.pdb\0"].concat()
    };
    let record = dump.place(&record);
    let mut list = dump.words(&[1]);
    list.extend(dump.numbers(&[(SAMPLE_CODE, 8), (0x1000, 4), (0, 4), (0, 4), (name.into(), 4)]));
    let mut version =
        if is_windows { dump.words(&[0xfeef_04bd, 0x1_0000, 0x1_0002, 0x3_0004]) } else { Vec::new() };
    version.resize(52, 0);
    list.extend(version);
    list.extend(dump.words(&record));
    list.resize(4 + 108, 0);
    dump.stream(4, &list);
    let name = dump.text("gone.dll");
    let mut unloaded = dump.words(&[12, 24, 1]);
    unloaded.extend(dump.numbers(&[(0x5000_0000, 8), (0x2000, 4), (0, 4), (99, 4), (name.into(), 4)]));
    dump.stream(14, &unloaded);
}

fn exception(dump: &mut Builder, machine: u16, platform: u32) {
    let context = dump.context(machine, SAMPLE_CODE + 0x120, SAMPLE_STACK + 0x1_0020);
    let context = dump.place(&context);
    // A write to 0x10, as each system says it.
    let (code, flags, address, parameters) = match platform {
        2 => (0xc000_0005, 0, SAMPLE_CODE + 0x120, 2),
        0x8101 => (1, 1, 0x10, 0),
        _ => (11, 1, 0x10, 0),
    };
    let mut bytes =
        dump.numbers(&[(2, 4), (0, 4), (code, 4), (flags, 4), (0, 8), (address, 8), (parameters, 4), (0, 4)]);
    bytes.extend(dump.numbers(&[(1, 8), (0x10, 8)]));
    bytes.resize(160, 0);
    bytes.extend(dump.words(&context));
    dump.stream(6, &bytes);
}

fn others(dump: &mut Builder) {
    dump.stream(10, b"a comment\0");
    let mut assertion: Vec<u8> = Vec::new();
    for text in ["a > b", "check", "a.cc"] {
        let mut bytes: Vec<u8> = text.encode_utf16().flat_map(|unit| dump.number(unit.into(), 2)).collect();
        bytes.resize(256, 0);
        assertion.extend(bytes);
    }
    assertion.extend(dump.words(&[12, 1]));
    dump.stream(0x4767_0002, &assertion);
    let (kind, name) = (dump.text("File"), dump.text("/dev/null"));
    let mut handles = dump.words(&[16, 32, 1, 0]);
    handles.extend(dump.numbers(&[
        (4, 8),
        (kind.into(), 4),
        (name.into(), 4),
        (0, 4),
        (7, 4),
        (1, 4),
        (1, 4),
    ]));
    dump.stream(12, &handles);
    let pairs = ["product", "Prospect", "object", "value"].map(|text| dump.utf8(text));
    let dictionary = dump.words(&[1, pairs[0], pairs[1]]);
    let dictionary = dump.place(&dictionary);
    let mut object = dump.numbers(&[(1, 4), (pairs[2].into(), 4), (1, 2), (0, 2), (pairs[3].into(), 4)]);
    object.resize(16, 0);
    let objects = dump.place(&object);
    let module = dump.words(&[1, 0, 0, 0, 0, objects[0], objects[1]]);
    let module = dump.place(&module);
    let links = dump.words(&[1, 0, module[0], module[1]]);
    let links = dump.place(&links);
    let mut crashpad = dump.words(&[1, 0, 0, 0, 0, 0, 0, 0, 0]);
    crashpad.extend(dump.words(&[dictionary[0], dictionary[1], links[0], links[1]]));
    dump.stream(0x4350_0001, &crashpad);
    dump.stream(0x4d7a_0004, b"[]");
    dump.stream(0xdead_beef, b"of a kind that nobody knows");
    dump.stream(0, b"");
}
