//! The hash tables by which the dynamic linker finds symbols: `.gnu.hash` (GNU's) and `.hash` (ELF gABI, "Hash
//! Table").

use prospect_process::Arch;

use crate::binary::Headers;

/// A chain has a few links. A broken one could be as long as the table, and be looked at for each name.
const LONGEST_CHAIN: usize = 64 << 10;

/// The numbers of the symbols that may have that name, those with the same hash. `None` where there is no table: then
/// every symbol may.
pub(super) fn candidates(headers: &Headers, name: &[u8]) -> Option<Vec<u32>> {
    gnu_candidates(headers, name).or_else(|| sysv_candidates(headers, name))
}

struct Numbers<'a> {
    bytes: &'a [u8],
    headers: &'a Headers,
}

impl<'a> Numbers<'a> {
    fn of(headers: &'a Headers, section: &str) -> Option<Self> {
        let found = headers.sections.iter().find(|one| *one.name == *section.as_bytes())?;
        Some(Self { bytes: found.section.all(), headers })
    }

    fn at(&self, at: usize, size: usize) -> Option<u64> {
        Some(self.headers.pointer_format(0).unsigned(self.bytes.get(at..at.checked_add(size)?)?))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        u32::try_from(self.at(at, 4)?).ok()
    }
}

/// `None` also where the table makes no sense.
fn gnu_candidates(headers: &Headers, name: &[u8]) -> Option<Vec<u32>> {
    let table = Numbers::of(headers, ".gnu.hash")?;
    let hash = name.iter().fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add((*byte).into()));
    let (buckets, first, filters, shift) = (table.u32(0)?, table.u32(4)?, table.u32(8)?, table.u32(12)?);
    if buckets == 0 {
        return None;
    }
    let word = usize::from(headers.address_bytes);
    let bits = 8 * word as u32;
    if filters > 0 {
        let filter = table.at(16 + word.checked_mul((hash / bits % filters) as usize)?, word)?;
        let has = |bit: u32| filter >> (bit % bits) & 1 == 1;
        if !(has(hash) && has(hash.checked_shr(shift).unwrap_or(0))) {
            return Some(Vec::new());
        }
    }
    let bucket_start = 16 + word.checked_mul(filters as usize)?;
    let chain_start = bucket_start.checked_add(4 * buckets as usize)?;
    let mut number = table.u32(bucket_start.checked_add(4 * (hash % buckets) as usize)?)?;
    let mut found = Vec::new();
    if number < first {
        return Some(found);
    }
    for _ in 0..LONGEST_CHAIN {
        let link = table.u32(chain_start.checked_add(4 * (number - first) as usize)?)?;
        // The lowest bit marks the end of a chain instead.
        if link | 1 == hash | 1 {
            found.push(number);
        }
        if link & 1 == 1 {
            break;
        }
        number = number.checked_add(1)?;
    }
    Some(found)
}

fn sysv_candidates(headers: &Headers, name: &[u8]) -> Option<Vec<u32>> {
    // The table of 64-bit IBM Z has numbers of eight bytes (its ABI's supplement).
    let table = Numbers::of(headers, ".hash").filter(|_| headers.arch != Some(Arch::S390x))?;
    let hash = name.iter().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add((*byte).into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    });
    let (buckets, links) = (table.u32(0)?, table.u32(4)?);
    if buckets == 0 {
        return None;
    }
    let chain_start = 8 + 4 * buckets as usize;
    let mut number = table.u32(8 + 4 * (hash % buckets) as usize)?;
    let mut found = Vec::new();
    // A chain that leads back to itself is as long as there are links at most.
    for _ in 0..LONGEST_CHAIN.min(links as usize) {
        if number == 0 {
            break;
        }
        found.push(number);
        number = table.u32(chain_start.checked_add(4 * number as usize)?)?;
    }
    Some(found)
}
