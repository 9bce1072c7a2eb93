//! The format of a file of the cache, version 1.
//!
//! ```text
//!   0  "PRSPSECT"  version u32  bytes of a block u32
//!  16  bytes of the section unpacked u64, packed u64; bytes that are here u64
//!  40  the file that it was unpacked from: device, inode, length, times of change u64 × 7
//!  96  length of the key u32, and the key: the name of this file, padded with zeros
//! 252  checksum of bytes 0..252 and of the table u32
//! 256  the table: the checksum of each block u32
//!   …  the section, from the next multiple of a page on
//! ```
//! Numbers are little-endian, checksums are CRC-32 as zlib has it.

use flate2::Crc;
use prospect_process::BuildId;

use super::WORTH_A_FILE;
use crate::binary::FileStamp;

const MAGIC: &[u8; 8] = b"PRSPSECT";
const VERSION: u32 = 1;

/// What has one checksum. Few units of debug information are larger: little is verified for nothing.
pub(super) const BLOCK: usize = 64 << 10;

const STORED_AT: usize = 32;
const CHECKSUM_AT: usize = 252;
const TABLE_AT: usize = 256;
const PAGE: usize = 4096;

/// Build-ids have 8 to 20 bytes; file names 255.
pub(crate) const LONGEST_BUILD_ID: usize = 32;
const LONGEST_SECTION_NAME: usize = 32;

/// Which section of which file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    build_id: BuildId,
    section: String,
    packed: usize,
    unpacked: usize,
    /// Build-ids can be copied into any file: this cannot. Without it, whoever has us look at a process
    /// of theirs could have us believe their words on the libraries of others.
    stamp: FileStamp,
}

impl Key {
    /// `None` for what is not worth a file, or has a name that no section with debug information has.
    pub(crate) fn new(
        build_id: &BuildId,
        section: &[u8],
        packed: usize,
        unpacked: usize,
        stamp: FileStamp,
    ) -> Option<Self> {
        let is_plain = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.');
        let named = section.starts_with(b".debug_")
            && section.len() <= LONGEST_SECTION_NAME
            && section.iter().all(is_plain);
        let identified = (4..=LONGEST_BUILD_ID).contains(&build_id.0.len());
        if !named || !identified || unpacked < WORTH_A_FILE {
            return None;
        }
        let section = String::from_utf8(section.to_vec()).ok()?;
        Some(Self { build_id: build_id.clone(), section, packed, unpacked, stamp })
    }

    /// The name of its file: of two files of a build, each has its own.
    pub(super) fn file_name(&self) -> String {
        let stamp = checksum(&[&self.stamp.to_bytes()]);
        format!("{}{}-{stamp:08x}.v{VERSION}", self.build_id, self.section)
    }

    /// All that comes before the bytes in a file that holds these.
    pub(super) fn header(&self, prefix: &[u8]) -> Vec<u8> {
        let mut header = self.fields(prefix.len());
        header.extend_from_slice(&[0; 4]);
        for block in prefix.chunks(BLOCK) {
            header.extend_from_slice(&checksum(&[block]).to_le_bytes());
        }
        let sum = checksum(&[&header[..CHECKSUM_AT], &header[TABLE_AT..]]);
        header[CHECKSUM_AT..TABLE_AT].copy_from_slice(&sum.to_le_bytes());
        header.resize(data_start(prefix.len()), 0);
        header
    }

    /// The bytes before the checksum.
    fn fields(&self, stored: usize) -> Vec<u8> {
        let mut fields = MAGIC.to_vec();
        fields.extend_from_slice(&VERSION.to_le_bytes());
        fields.extend_from_slice(&(BLOCK as u32).to_le_bytes());
        for number in [self.unpacked, self.packed, stored] {
            fields.extend_from_slice(&(number as u64).to_le_bytes());
        }
        fields.extend_from_slice(&self.stamp.to_bytes());
        let name = self.file_name();
        fields.extend_from_slice(&(name.len() as u32).to_le_bytes());
        fields.extend_from_slice(name.as_bytes());
        fields.resize(CHECKSUM_AT, 0);
        fields
    }
}

/// What a file that is as it should be holds: how many bytes of the section, and where they begin. `None`
/// for a file of another key, and for a damaged or truncated one.
pub(super) fn stored(file: &[u8], key: &Key) -> Option<(usize, usize)> {
    let stored = u64::from_le_bytes(*file.get(STORED_AT..)?.first_chunk()?);
    let stored = usize::try_from(stored).ok().filter(|stored| (1..=key.unpacked).contains(stored))?;
    let start = data_start(stored);
    let fields = file.get(..CHECKSUM_AT)?;
    let sum = file.get(CHECKSUM_AT..TABLE_AT)?;
    let table = file.get(TABLE_AT..TABLE_AT + table_length(stored))?;
    let whole = file.len() == start.checked_add(stored)?
        && fields == key.fields(stored)
        && sum == checksum(&[fields, table]).to_le_bytes();
    whole.then_some((stored, start))
}

/// Whether a block of a file that holds so many bytes is as it was written.
pub(super) fn is_intact(file: &[u8], stored: usize, block: usize) -> bool {
    let intact = || {
        let sum = file.get(TABLE_AT + 4 * block..)?.first_chunk()?;
        let data = file.get(data_start(stored)..)?.get(block * BLOCK..)?;
        Some(checksum(&[data.get(..BLOCK).unwrap_or(data)]).to_le_bytes() == *sum)
    };
    block < stored.div_ceil(BLOCK) && intact().unwrap_or(false)
}

fn table_length(stored: usize) -> usize {
    4 * stored.div_ceil(BLOCK)
}

/// At a page's beginning, so that a page of the file is a page of the section.
fn data_start(stored: usize) -> usize {
    (TABLE_AT + table_length(stored)).next_multiple_of(PAGE)
}

/// The CRC-32 of all parts as one.
pub(crate) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}
