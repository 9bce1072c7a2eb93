//! `.gnu_debuglink` and `.gnu_debugaltlink`: a binary's own words on where its debug file is (GDB
//! manual, "Debugging Information in Separate Files"; dwz).

use std::path::PathBuf;

use prospect_process::BuildId;

use crate::Binary;

/// A debug file's name and checksum.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DebugLink {
    pub(super) name: String,
    pub(super) crc: u32,
}

impl DebugLink {
    pub(super) fn of(binary: &Binary) -> Option<Self> {
        let bytes = binary.section(".gnu_debuglink")?.all();
        Self::parse(bytes, binary.headers().pointer_format(0).big_endian)
    }

    fn parse(bytes: &[u8], big_endian: bool) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&bytes[..end]).ok()?;
        // It is a name and not a path: anything else would lead out of the directories that are searched.
        if name.is_empty() || name.contains('/') || name == ".." || name == "." {
            return None;
        }
        let crc = *bytes.get((end + 1).next_multiple_of(4)..)?.first_chunk()?;
        let crc = if big_endian { u32::from_be_bytes(crc) } else { u32::from_le_bytes(crc) };
        Some(Self { name: name.to_owned(), crc })
    }
}

/// The checksum that a debug link is about: CRC-32 as zlib has it, over the whole file.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Where the file is that several debug files share, and its build-id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SupplementaryLink {
    pub(super) path: PathBuf,
    pub(super) build_id: BuildId,
}

impl SupplementaryLink {
    pub(super) fn of(binary: &Binary) -> Option<Self> {
        Self::parse(binary.section(".gnu_debugaltlink")?.all())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let path = std::str::from_utf8(&bytes[..end]).ok().filter(|path| !path.is_empty())?;
        let build_id = BuildId(bytes[end + 1..].to_vec());
        (!build_id.0.is_empty()).then(|| Self { path: path.into(), build_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_parsed() {
        let link = DebugLink::parse(b"a.debug\0\x78\x56\x34\x12", false).unwrap();
        assert_eq!(link, DebugLink { name: "a.debug".into(), crc: 0x1234_5678 });
        let link = DebugLink::parse(b"ab.debug\0\0\0\0\x12\x34\x56\x78", true).unwrap();
        assert_eq!(link, DebugLink { name: "ab.debug".into(), crc: 0x1234_5678 });
        for broken in [&b"a.debug"[..], b"a.debug\0\x01", b"\0\0\0\0\0\0\0\0", b"../x\0\0\0\0\0\0\0", b""] {
            assert_eq!(DebugLink::parse(broken, false), None, "{broken:?}");
        }
        let link = SupplementaryLink::parse(b"../dwz/x\0\xab\xcd").unwrap();
        assert_eq!(link.build_id.to_string(), "abcd");
        assert_eq!(SupplementaryLink::parse(b"x\0"), None);
    }

    #[test]
    fn the_checksum_is_the_one_of_zlib() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }
}
