//! What the kernel told a program when it started (`man 3 getauxval`).

/// The kernel's own limit is far below (`AT_VECTOR_SIZE`).
const LIMIT_BYTES: usize = 16 << 10;

/// Where the program headers of the executable lie in memory (`AT_PHDR`).
pub const PROGRAM_HEADERS: u64 = 3;
/// How many program headers there are (`AT_PHNUM`).
pub const PROGRAM_HEADER_COUNT: u64 = 5;
/// The size of a page in bytes (`AT_PAGESZ`).
pub const PAGE_BYTES: u64 = 6;
/// Where the program interpreter is loaded (`AT_BASE`).
pub const INTERPRETER_BASE: u64 = 7;
/// Where the executable begins to run (`AT_ENTRY`).
pub const ENTRY: u64 = 9;
/// Bits for what the processor can do (`AT_HWCAP`).
pub const HARDWARE_CAPABILITIES: u64 = 16;
/// Clock ticks per second (`AT_CLKTCK`).
pub const CLOCK_TICKS: u64 = 17;
/// Where 16 random bytes are, on the stack of the first thread (`AT_RANDOM`).
pub const RANDOM: u64 = 25;
/// Where the path is that the program was started by (`AT_EXECFN`).
pub const EXECUTABLE_PATH: u64 = 31;
/// Where the vdso's ELF header is (`AT_SYSINFO_EHDR`).
pub const VDSO: u64 = 33;

/// The names of entries (`include/uapi/linux/auxvec.h`, and `asm/auxvec.h` of the machines).
const NAMES: &[(u64, &str)] = &[
    (1, "AT_IGNORE"),
    (2, "AT_EXECFD"),
    (PROGRAM_HEADERS, "AT_PHDR"),
    (4, "AT_PHENT"),
    (PROGRAM_HEADER_COUNT, "AT_PHNUM"),
    (PAGE_BYTES, "AT_PAGESZ"),
    (INTERPRETER_BASE, "AT_BASE"),
    (8, "AT_FLAGS"),
    (ENTRY, "AT_ENTRY"),
    (10, "AT_NOTELF"),
    (11, "AT_UID"),
    (12, "AT_EUID"),
    (13, "AT_GID"),
    (14, "AT_EGID"),
    (15, "AT_PLATFORM"),
    (HARDWARE_CAPABILITIES, "AT_HWCAP"),
    (CLOCK_TICKS, "AT_CLKTCK"),
    (18, "AT_FPUCW"),
    (19, "AT_DCACHEBSIZE"),
    (20, "AT_ICACHEBSIZE"),
    (21, "AT_UCACHEBSIZE"),
    (22, "AT_IGNOREPPC"),
    (23, "AT_SECURE"),
    (24, "AT_BASE_PLATFORM"),
    (RANDOM, "AT_RANDOM"),
    (26, "AT_HWCAP2"),
    (27, "AT_RSEQ_FEATURE_SIZE"),
    (28, "AT_RSEQ_ALIGN"),
    (29, "AT_HWCAP3"),
    (30, "AT_HWCAP4"),
    (EXECUTABLE_PATH, "AT_EXECFN"),
    (32, "AT_SYSINFO"),
    (VDSO, "AT_SYSINFO_EHDR"),
    (40, "AT_L1I_CACHESIZE"),
    (41, "AT_L1I_CACHEGEOMETRY"),
    (42, "AT_L1D_CACHESIZE"),
    (43, "AT_L1D_CACHEGEOMETRY"),
    (44, "AT_L2_CACHESIZE"),
    (45, "AT_L2_CACHEGEOMETRY"),
    (46, "AT_L3_CACHESIZE"),
    (47, "AT_L3_CACHEGEOMETRY"),
    (51, "AT_MINSIGSTKSZ"),
];

/// The name of an entry of this kind, where it has one.
#[must_use]
pub fn name(kind: u64) -> Option<&'static str> {
    NAMES.iter().find(|one| one.0 == kind).map(|one| one.1)
}

/// The auxiliary vector of a process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Auxv(Vec<(u64, u64)>);

impl Auxv {
    /// The entries up to the one that ends the vector, or to the end of `bytes`. A word has `word_bytes`
    /// bytes in the process that it is of; other sizes than 4 and 8 give an empty vector.
    #[must_use]
    pub fn parse(bytes: &[u8], word_bytes: u8, big_endian: bool) -> Self {
        if !matches!(word_bytes, 4 | 8) {
            return Self::default();
        }
        let word = |bytes: &[u8]| {
            let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
            if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
        };
        let (word_bytes, limit) = (usize::from(word_bytes), bytes.len().min(LIMIT_BYTES));
        let pairs = bytes[..limit].chunks_exact(2 * word_bytes);
        let pairs = pairs.map(|pair| (word(&pair[..word_bytes]), word(&pair[word_bytes..])));
        Self(pairs.take_while(|(kind, _)| *kind != 0).collect())
    }

    /// The value of the first entry of a kind.
    #[must_use]
    pub fn get(&self, kind: u64) -> Option<u64> {
        self.0.iter().find(|entry| entry.0 == kind).map(|entry| entry.1)
    }

    /// All entries: kind and value.
    #[must_use]
    pub fn entries(&self) -> &[(u64, u64)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_size_and_order_of_their_process() {
        let narrow = [6u32, 4096, 33, 0xf7f0_0000, 0, 0, 6, 1].map(u32::to_le_bytes).concat();
        let vector = Auxv::parse(&narrow, 4, false);
        assert_eq!(vector.entries(), [(PAGE_BYTES, 4096), (VDSO, 0xf7f0_0000)]);
        let wide = [6u64, 65536].map(u64::to_be_bytes).concat();
        assert_eq!(Auxv::parse(&wide, 8, true).get(PAGE_BYTES), Some(65536));
        assert_eq!(Auxv::parse(&wide[..15], 8, true), Auxv::default());
        assert_eq!(Auxv::parse(&wide, 0, true), Auxv::default());
        assert_eq!(Auxv::parse(&[], 8, false).get(PAGE_BYTES), None);
    }
}
