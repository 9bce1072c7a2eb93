//! The text of `/proc/PID/maps`, which dumps of Linux keep too.

use crate::{Addr, Advice, FileId, Mapping, Permissions};

/// What the kernel writes behind the path of a file that has no name any more.
pub const DELETED: &[u8] = b" (deleted)";

/// The mappings of `maps`, in its order. Lines that are not understood are left out, also a last line that
/// was cut short before its inode.
///
/// A file that is really called `x (deleted)` cannot be told from a deleted `x` by this text.
#[must_use]
pub fn parse(bytes: &[u8]) -> Vec<Mapping> {
    let mut mappings = Vec::with_capacity(bytes.len() / 80);
    mappings.extend(bytes.split(|byte| *byte == b'\n').filter_map(line));
    mappings
}

/// `START-END rwxp OFFSET MAJOR:MINOR INODE     NAME`, all numbers but the inode hexadecimal.
fn line(line: &[u8]) -> Option<Mapping> {
    let mut cursor = Cursor(line);
    let start = cursor.hex()?;
    cursor.literal(b'-')?;
    let end = cursor.hex()?;
    cursor.literal(b' ')?;
    let permissions = Permissions {
        read: cursor.byte()? == b'r',
        write: cursor.byte()? == b'w',
        execute: cursor.byte()? == b'x',
        shared: cursor.byte()? == b's',
    };
    cursor.literal(b' ')?;
    let offset = cursor.hex()?;
    cursor.literal(b' ')?;
    let major = u32::try_from(cursor.hex()?).ok()?;
    cursor.literal(b':')?;
    let minor = u32::try_from(cursor.hex()?).ok()?;
    cursor.literal(b' ')?;
    let inode = cursor.decimal()?;
    // Padding only: every name begins with a slash, a bracket or a letter.
    cursor.0 = cursor.0.trim_ascii_start();
    let (name, deleted) = match cursor.0.strip_suffix(DELETED) {
        Some(name) => (name, true),
        None => (cursor.0, false),
    };
    let file = ((major, minor, inode) != (0, 0, 0)).then_some(FileId { device: (major, minor), inode });
    Some(Mapping {
        range: Addr(start)..Addr(end),
        permissions,
        offset,
        file,
        name: without_escapes(name),
        deleted,
        advice: Advice::default(),
    })
}

/// The only byte that the kernel escapes in a path here is the newline, as `\012` (`show_vma_header_prefix`
/// and `seq_path` in `fs/proc/task_mmu.c`); a backslash stands for itself.
fn without_escapes(mut name: &[u8]) -> Vec<u8> {
    const NEWLINE: &[u8] = b"\\012";
    let mut decoded = Vec::with_capacity(name.len());
    while let Some(at) = name.iter().position(|byte| *byte == b'\\') {
        decoded.extend_from_slice(&name[..at]);
        name = &name[at..];
        let (byte, length) = if name.starts_with(NEWLINE) { (b'\n', NEWLINE.len()) } else { (b'\\', 1) };
        decoded.push(byte);
        name = &name[length..];
    }
    decoded.extend_from_slice(name);
    decoded
}

/// What is left of a line. Each takes what it names from the front, or gives `None`.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn hex(&mut self) -> Option<u64> {
        self.number(16)
    }

    fn decimal(&mut self) -> Option<u64> {
        self.number(10)
    }

    fn number(&mut self, radix: u32) -> Option<u64> {
        let (mut value, mut length) = (0u64, 0);
        while let Some(digit) = self.0.get(length).and_then(|byte| char::from(*byte).to_digit(radix)) {
            value = value.checked_mul(radix.into())?.checked_add(digit.into())?;
            length += 1;
        }
        self.0 = &self.0[length..];
        (length > 0).then_some(value)
    }

    fn literal(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &[u8]) -> Mapping {
        let mut found = parse(text);
        assert_eq!(found.len(), 1, "{:?}", String::from_utf8_lossy(text));
        found.remove(0)
    }

    #[test]
    fn all_columns_are_read() {
        let mapping =
            one(b"55d0c7a00000-55d0c7a21000 r-xs 00002000 fe:1a0 131090                     /usr/bin/cat\n");
        assert_eq!(mapping.range, Addr(0x55d0_c7a0_0000)..Addr(0x55d0_c7a2_1000));
        assert_eq!(mapping.permissions.to_string(), "r-xs");
        assert_eq!(mapping.offset, 0x2000);
        assert_eq!(mapping.file, Some(FileId { device: (0xfe, 0x1a0), inode: 131_090 }));
        assert_eq!(mapping.name, b"/usr/bin/cat");
        assert!(!mapping.deleted);
    }

    #[test]
    fn the_top_of_the_address_space_fits() {
        let mapping = one(b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]\n");
        assert_eq!(mapping.range, Addr(0xffff_ffff_ff60_0000)..Addr(0xffff_ffff_ff60_1000));
        assert_eq!((mapping.file, mapping.name.as_slice()), (None, &b"[vsyscall]"[..]));
    }

    #[test]
    fn memory_without_a_file_keeps_its_name() {
        for name in ["", "[stack]", "[vdso]", "[anon:dalvik main space]", "//anon", "[anon_shmem:x]"] {
            let mapping = one(format!("1000-2000 rw-p 00000000 00:00 0 {name}\n").as_bytes());
            assert_eq!(mapping.name, name.as_bytes());
            assert_eq!(mapping.file, None);
        }
        assert_eq!(one(b"1000-2000 rw-p 00000000 00:00 0").name, b"");
    }

    #[test]
    fn blanks_newlines_and_other_bytes_belong_to_a_name() {
        let name = |text: &[u8]| one(&[b"1-2 r--p 0 8:1 5   ", text, b"\n"].concat()).name;
        assert_eq!(name(b"/a  b/ c "), b"/a  b/ c ");
        assert_eq!(name(b"/a\\012b\\012"), b"/a\nb\n");
        assert_eq!(name(b"/a\\b\\040\\01"), b"/a\\b\\040\\01");
        assert_eq!(name(b"/\xff\xfe\x80"), b"/\xff\xfe\x80");
        assert_eq!(name(b"/1-2 r--p 0 8:1 5 /x"), b"/1-2 r--p 0 8:1 5 /x");
    }

    #[test]
    fn a_deleted_file_is_said_to_be_one() {
        let mapping = one(b"1-2 rw-s 0 0:1 1029 /memfd:jit code (deleted) (deleted)\n");
        assert!(mapping.deleted);
        assert_eq!(mapping.name, b"/memfd:jit code (deleted)");
        assert!(!one(b"1-2 rw-s 0 0:1 1029 /x(deleted)\n").deleted);
    }

    #[test]
    fn lines_that_make_no_sense_are_left_out() {
        let text = b"garbage\n1-2 r--p 0 8:1 5 /a\n\n3-4\n123456789abcdef01-2 r--p 0 8:1 5\n\
            5-6 r--p 0 8:1 7 /b\n7-8 r--";
        let found = parse(text);
        assert_eq!(found.iter().map(|mapping| mapping.name.as_slice()).collect::<Vec<_>>(), [b"/a", b"/b"]);
        assert!(parse(b"").is_empty());
        assert_eq!(parse(b"1-2 r--p 0 8:1 5 /cut").len(), 1);
    }
}
