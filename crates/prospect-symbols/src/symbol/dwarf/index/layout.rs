//! The format of an index, version 2.
//!
//! ```text
//!   0  "PRSPINDX"  version u32  length of the build-id u32, the build-id padded with zeros to 32 bytes
//!  48  the file that it was made from: device, inode, length, times of change u64 × 7; bytes of .debug_info u64
//! 112  the directory: where it is u64, its length u64, its checksum u32
//! 132  definitions that were looked for (`definitions.rs`): the same; all 0 where there are none
//! 252  checksum of bytes 0..252 u32
//! 256  parts of units, in any order, and the records of the map: address u32, value u32
//! ```
//! The directory:
//! ```text
//!   0  units u32  records u32  numbers in lists u32  0 u32
//!  16  where the records are u64, what their addresses are counted from u64
//!  32  units: beginning in .debug_info u64, where its part is u64, its length u32, its checksum u32, state u32
//!   …  each RECORDS records: the address of the first u32, checksum of all u32
//!   …  lists u32
//! ```
//! Numbers are little-endian, checksums are CRC-32 as zlib has it.

use std::{
    io::{self, Write},
    ops::Range,
};

use prospect_process::BuildId;

use super::{definitions::DefinitionTable, map::Map};
use crate::{
    binary::FileStamp,
    cache::{LONGEST_BUILD_ID, checksum},
};

const MAGIC: &[u8; 8] = b"PRSPINDX";
const VERSION: u32 = 2;
const DIRECTORY_AT: usize = 112;
const CHECKSUM_AT: usize = 252;
pub(super) const HEADER: usize = 256;
const DIRECTORY_HEADER: usize = 32;
const UNIT: usize = 28;
const RECORD: usize = 8;
/// So many records have one checksum.
pub(super) const RECORDS: usize = 1024;

/// Which file an index is of.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    build_id: BuildId,
    /// Build-ids can be copied into any file: this cannot.
    stamp: FileStamp,
    info_length: u64,
}

impl Key {
    pub(super) fn new(build_id: &BuildId, stamp: FileStamp, info_length: usize) -> Option<Self> {
        let identified = (4..=LONGEST_BUILD_ID).contains(&build_id.0.len());
        identified.then(|| Self { build_id: build_id.clone(), stamp, info_length: info_length as u64 })
    }

    /// For an index that is in no file.
    pub(super) fn of_memory() -> Self {
        let stamp = FileStamp { device: 0, inode: 0, length: 0, modified: (0, 0), changed: (0, 0) };
        Self { build_id: BuildId(Vec::new()), stamp, info_length: 0 }
    }

    /// The name of its file: of two files of a build, each has its own.
    pub(super) fn file_name(&self) -> String {
        let stamp = checksum(&[&self.stamp.to_bytes()]);
        format!("{}-{stamp:08x}.v{VERSION}", self.build_id)
    }

    /// With the directory and the definitions, each with where it is.
    fn header(&self, tables: [(usize, &[u8]); 2]) -> Vec<u8> {
        let mut header = self.fields();
        for (at, table) in tables.into_iter().filter(|(_, table)| !table.is_empty()) {
            header.extend_from_slice(&(at as u64).to_le_bytes());
            header.extend_from_slice(&(table.len() as u64).to_le_bytes());
            header.extend_from_slice(&checksum(&[table]).to_le_bytes());
        }
        header.resize(CHECKSUM_AT, 0);
        let sum = checksum(&[&header]);
        header.extend_from_slice(&sum.to_le_bytes());
        header
    }

    fn fields(&self) -> Vec<u8> {
        let mut fields = MAGIC.to_vec();
        fields.extend_from_slice(&VERSION.to_le_bytes());
        fields.extend_from_slice(&(self.build_id.0.len() as u32).to_le_bytes());
        fields.extend_from_slice(&self.build_id.0);
        fields.resize(48, 0);
        fields.extend_from_slice(&self.stamp.to_bytes());
        fields.extend_from_slice(&self.info_length.to_le_bytes());
        fields
    }
}

/// What is known of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UnitState {
    /// It was not read yet.
    Missing,
    /// Its part lies there, with this checksum.
    Part(Range<usize>, u32),
    /// There can be none.
    Impossible,
}

/// The directory, and the checksums of all that it leads to.
#[derive(Debug)]
pub(super) struct Directory {
    /// Where each unit begins, in order.
    pub(super) units: Vec<(usize, UnitState)>,
    pub(super) base: u64,
    pub(super) records: usize,
    records_at: usize,
    /// Of each chunk of the records: the first address, the checksum.
    pub(super) chunks: Vec<(u32, u32)>,
    pub(super) lists: Vec<u32>,
    /// Where the definitions are, and their checksum.
    pub(super) definitions: (Range<usize>, u32),
}

impl Directory {
    /// Reads that of a file; `None` for a file of another key, and for one whose header or directory are damaged.
    pub(super) fn read(file: &[u8], key: &Key) -> Option<Self> {
        let header: &[u8; HEADER] = file.first_chunk()?;
        let sum = checksum(&[&header[..CHECKSUM_AT]]).to_le_bytes();
        if header[..DIRECTORY_AT] != *key.fields() || header[CHECKSUM_AT..] != sum {
            return None;
        }
        let mut fields = Numbers(&header[DIRECTORY_AT..]);
        let (at, length, sum) = (fields.usize()?, fields.usize()?, fields.u32()?);
        let (table_at, table_length, table_sum) = (fields.usize()?, fields.usize()?, fields.u32()?);
        let definitions = (table_at..table_at.checked_add(table_length)?, table_sum);
        let directory = file.get(at..at.checked_add(length)?)?;
        if checksum(&[directory]) != sum {
            return None;
        }
        let mut numbers = Numbers(directory);
        let [units, records, lists, _] = [(); 4].map(|()| numbers.u32().unwrap_or(0) as usize);
        let (records_at, base) = (numbers.usize()?, numbers.u64()?);
        let chunks = records.div_ceil(RECORDS);
        let expected = units.checked_mul(UNIT)?.checked_add(chunks.checked_mul(8)?)?;
        let expected = expected.checked_add(lists.checked_mul(4)?)?.checked_add(DIRECTORY_HEADER)?;
        if expected != length || records_at.checked_add(records.checked_mul(RECORD)?)? > file.len() {
            return None;
        }
        let units = (0..units).map(|_| numbers.unit()).collect::<Option<Vec<_>>>()?;
        let chunks = (0..chunks).map(|_| Some((numbers.u32()?, numbers.u32()?))).collect::<Option<_>>()?;
        let lists = (0..lists).map(|_| numbers.u32()).collect::<Option<_>>()?;
        let in_order = units.is_sorted_by(|one, next| one.0 < next.0);
        in_order.then_some(Self { units, base, records, records_at, chunks, lists, definitions })
    }

    /// The bytes of one chunk of the records.
    pub(super) fn chunk(&self, chunk: usize) -> Range<usize> {
        let place = |record: usize| self.records_at + RECORD * record.min(self.records);
        place(chunk * RECORDS)..place((chunk + 1) * RECORDS)
    }
}

/// Numbers, one after another.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn usize(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok()
    }

    fn unit(&mut self) -> Option<(usize, UnitState)> {
        let (start, at) = (self.usize()?, self.usize()?);
        let (length, sum, state) = (self.u32()? as usize, self.u32()?, self.u32()?);
        let state = match state {
            0 => UnitState::Missing,
            1 => UnitState::Part(at..at.checked_add(length)?, sum),
            _ => UnitState::Impossible,
        };
        Some((start, state))
    }
}

/// Writes an index: parts as they come, the rest at the end.
pub(super) struct LayoutWriter<W> {
    output: W,
    at: u64,
    largest: u64,
    units: Vec<(usize, UnitState)>,
}

impl<W: Write> LayoutWriter<W> {
    /// For a file of at most `largest` bytes. `output` begins where the index does.
    pub(super) fn new(output: W, units: &[usize], largest: u64) -> io::Result<Self> {
        let units = units.iter().map(|&start| (start, UnitState::Missing)).collect();
        let mut writer = Self { output, at: 0, largest, units };
        // The header is written when all else is.
        writer.write(&[0; HEADER])?;
        Ok(writer)
    }

    /// The part of a unit, or that there can be none.
    pub(super) fn part(&mut self, unit: usize, part: Option<&[u8]>) -> io::Result<()> {
        let state = match part {
            None => UnitState::Impossible,
            Some(part) => {
                u32::try_from(part.len()).map_err(|_| too_large())?;
                let range = self.write(part)?;
                UnitState::Part(range, checksum(&[part]))
            }
        };
        if let Some(place) = self.units.get_mut(unit) {
            place.1 = state;
        }
        Ok(())
    }

    /// Writes the rest; returns the output, and the header that is to stand at its beginning.
    pub(super) fn finish(
        mut self,
        map: &Map,
        definitions: &DefinitionTable,
        key: &Key,
    ) -> io::Result<(W, Vec<u8>)> {
        let mut records = Vec::with_capacity(RECORD * map.records.len());
        for (address, value) in &map.records {
            records.extend_from_slice(&address.to_le_bytes());
            records.extend_from_slice(&value.to_le_bytes());
        }
        let records_at = self.write(&records)?.start;
        let mut directory = Vec::new();
        for number in [self.units.len(), map.records.len(), map.lists.len(), 0] {
            directory.extend_from_slice(&u32::try_from(number).map_err(|_| too_large())?.to_le_bytes());
        }
        directory.extend_from_slice(&(records_at as u64).to_le_bytes());
        directory.extend_from_slice(&map.base.to_le_bytes());
        for (start, state) in &self.units {
            let (range, sum, state) = match state {
                UnitState::Missing => (0..0, 0, 0_u32),
                UnitState::Part(range, sum) => (range.clone(), *sum, 1),
                UnitState::Impossible => (0..0, 0, 2),
            };
            directory.extend_from_slice(&(*start as u64).to_le_bytes());
            directory.extend_from_slice(&(range.start as u64).to_le_bytes());
            for number in [range.len() as u32, sum, state] {
                directory.extend_from_slice(&number.to_le_bytes());
            }
        }
        for (chunk, bytes) in map.records.chunks(RECORDS).zip(records.chunks(RECORDS * RECORD)) {
            directory.extend_from_slice(&chunk.first().map_or(0, |first| first.0).to_le_bytes());
            directory.extend_from_slice(&checksum(&[bytes]).to_le_bytes());
        }
        map.lists.iter().for_each(|number| directory.extend_from_slice(&number.to_le_bytes()));
        let at = self.write(&directory)?.start;
        let definitions = definitions.to_bytes();
        let definitions_at = self.write(&definitions)?.start;
        Ok((self.output, key.header([(at, &directory), (definitions_at, &definitions)])))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Range<usize>> {
        let end = self.at.saturating_add(bytes.len() as u64);
        if end > self.largest {
            return Err(too_large());
        }
        self.output.write_all(bytes)?;
        let range = self.at as usize..end as usize;
        self.at = end;
        Ok(range)
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the index would be too large")
}
