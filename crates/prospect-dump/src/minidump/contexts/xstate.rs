//! What `XSAVE` writes, behind a `CONTEXT` of x86_64: `CONTEXT_EX` (`winnt.h`), and the area that it points at, which begins
//! where the legacy region of `XSAVE` ends (Intel SDM volume 1, sections 13.4.2 and 13.4.3).

/// `CONTEXT_XSTATE`: the `CONTEXT` is followed by a `CONTEXT_EX`.
pub(super) const HAS_XSTATE: u32 = 0x40;

/// The length of `CONTEXT_AMD64`; `CONTEXT_EX` follows.
const CONTEXT_BYTES: usize = 0x4d0;
/// How far behind the beginning of `CONTEXT_EX` the area begins: its three pairs of numbers, and zeros up to the
/// alignment that `XSAVE` wants of it in the `CONTEXT` as a whole.
const AREA_AT: usize = (CONTEXT_BYTES + 24).next_multiple_of(64) - CONTEXT_BYTES;
const LEGACY_BYTES: usize = 512;
const HEADER_BYTES: usize = 64;
/// Where the legacy region keeps which components the system has enabled (Linux: `arch/x86/include/uapi/asm/sigcontext.h`,
/// `struct _fpx_sw_bytes`; gdb reads it in cores).
const ENABLED_AT: usize = 464;
/// The component of the upper halves of the registers of AVX, and where it ends.
const AVX: u32 = 2;
const AVX_END: usize = 832;
/// More than any processor writes.
const MOST_BYTES: usize = 64 << 10;

/// Where the components have their places in the standard form on processors of Intel: number, offset, length.
const COMPONENTS: &[(u32, usize, usize)] =
    &[(2, 576, 256), (3, 960, 64), (4, 1024, 64), (5, 1088, 64), (6, 1152, 512), (7, 1664, 1024)];

/// What `XSAVE` writes in its standard form: of the legacy region, and of what lies behind the `CONTEXT`.
pub(super) fn decode(legacy: &[u8], behind: Option<&[u8]>) -> Vec<u8> {
    let mut set = legacy.to_vec();
    match behind.and_then(area) {
        Some(area) if word(area, 8) >> 63 == 1 => expand(&mut set, area),
        Some(area) => {
            set.extend(area);
            // A component that the area ends before is as it was at the start: zero.
            if word(&set, ENABLED_AT) >> AVX & 1 == 1 {
                set.resize(set.len().max(AVX_END), 0);
            }
        }
        None => {
            let mut header = [0; HEADER_BYTES];
            header[0] = 0b11;
            set.extend(header);
        }
    }
    if word(&set, ENABLED_AT) == 0 {
        let enabled = word(&set, LEGACY_BYTES) | 0b11;
        set[ENABLED_AT..ENABLED_AT + 8].copy_from_slice(&enabled.to_le_bytes());
    }
    set
}

/// `CONTEXT_EX`, the zeros behind it, and the area, without components at its end that are zero: most threads wait, and a dump of
/// many would be half zeros. `None` where there is nothing beyond the legacy region.
pub(super) fn encode(set: &[u8]) -> Option<Vec<u8>> {
    let area =
        set.get(LEGACY_BYTES..).filter(|area| area.len() > HEADER_BYTES && area.len() <= MOST_BYTES)?;
    let is_zero = |from: usize| area.get(from..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
    let ends = [HEADER_BYTES, AVX_END - LEGACY_BYTES];
    let end = ends.into_iter().filter(|_| set.len() >= AVX_END).find(|end| is_zero(*end));
    let area = &area[..end.unwrap_or(area.len())];
    let mut bytes = Vec::with_capacity(AREA_AT + area.len());
    let whole = CONTEXT_BYTES + AREA_AT + area.len();
    // All of it, the CONTEXT, and the area: each from the beginning of this structure, and its length.
    let chunks = [
        (-(CONTEXT_BYTES as i32), whole),
        (-(CONTEXT_BYTES as i32), CONTEXT_BYTES),
        (AREA_AT as i32, area.len()),
    ];
    for (offset, length) in chunks {
        bytes.extend(offset.to_le_bytes());
        bytes.extend((length as u32).to_le_bytes());
    }
    bytes.resize(AREA_AT, 0);
    bytes.extend(area);
    Some(bytes)
}

/// The area that the third pair of `CONTEXT_EX` says, with its header.
fn area(behind: &[u8]) -> Option<&[u8]> {
    let pair = behind.get(16..24)?;
    let offset = usize::try_from(i32::from_le_bytes(*pair.first_chunk()?)).ok()?;
    let length = u32::from_le_bytes(*pair.last_chunk()?) as usize;
    let rest = behind.get(offset..)?;
    let area = &rest[..length.min(rest.len()).min(MOST_BYTES)];
    (area.len() >= HEADER_BYTES).then_some(area)
}

/// Puts the components of the compacted form where they are in the standard one. Those that follow one of unknown length
/// are not found.
fn expand(set: &mut Vec<u8>, area: &[u8]) {
    let (mask, compaction) = (word(area, 0), word(area, 8));
    let mut found = 0b11 & mask;
    set.resize(LEGACY_BYTES + HEADER_BYTES, 0);
    let mut at = HEADER_BYTES;
    for number in (2..63).filter(|number| compaction >> number & 1 == 1) {
        let Some((_, to, length)) = COMPONENTS.iter().find(|(one, ..)| *one == number) else { break };
        let Some(component) = area.get(at..at + length) else { break };
        if mask >> number & 1 == 1 {
            set.resize(set.len().max(to + length), 0);
            set[*to..to + length].copy_from_slice(component);
            found |= 1 << number;
        }
        at += length;
    }
    set[LEGACY_BYTES..LEGACY_BYTES + 8].copy_from_slice(&found.to_le_bytes());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
