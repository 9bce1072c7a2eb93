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

/// A component of the standard form on processors of Intel.
struct Component {
    number: u32,
    offset: usize,
    bytes: usize,
    /// Where it is aligned to in the compacted form (`CPUID`, leaf 0xd, bit 1 of `ecx`).
    alignment: usize,
}

const fn component(number: u32, offset: usize, bytes: usize, alignment: usize) -> Component {
    Component { number, offset, bytes, alignment }
}

/// Vectors of AVX, bounds of MPX, masks and vectors of AVX-512, keys of memory, tiles of AMX. Each is zero at the start.
const COMPONENTS: &[Component] = &[
    component(AVX, 576, 256, 1),
    component(3, 960, 64, 1),
    component(4, 1024, 64, 1),
    component(5, 1088, 64, 1),
    component(6, 1152, 512, 1),
    component(7, 1664, 1024, 1),
    component(PKRU, 2688, 8, 1),
    component(17, 2752, 64, 64),
    component(18, 2816, 8192, 64),
];
/// The keys of memory.
const PKRU: u32 = 9;
/// How long the standard form is that ends with these components: debuggers tell by it which processor wrote it
/// (gdb: `i387_guess_xsave_layout`).
const INTEL_LENGTHS: [usize; 4] = [AVX_END, 2688, 2696, 11008];
/// What says that the form is compacted.
const COMPACTED: u64 = 1 << 63;

/// What `XSAVE` writes in its standard form: of the legacy region, and of what lies behind the `CONTEXT`.
pub(super) fn decode(legacy: &[u8], behind: Option<&[u8]>) -> Vec<u8> {
    let mut set = legacy.to_vec();
    match behind.and_then(area) {
        Some(area) if word(area, 8) & COMPACTED != 0 => expand(&mut set, area),
        Some(area) => {
            set.extend(area);
        }
        None => {
            let mut header = [0; HEADER_BYTES];
            header[0] = 0b11;
            set.extend(header);
        }
    }
    if word(&set, ENABLED_AT) == 0 {
        // Without it, what is there is what was enabled.
        let enabled = word(&set, LEGACY_BYTES) | 0b11;
        set[ENABLED_AT..ENABLED_AT + 8].copy_from_slice(&enabled.to_le_bytes());
    }
    // What is not there of what was enabled is as it was at the start: zero. Of the standard form, where AVX alone lies is sure.
    if let Some(area) = behind.and_then(area) {
        let enabled = word(&set, ENABLED_AT);
        let is_compacted = word(area, 8) & COMPACTED != 0;
        let is_meant =
            |one: &&Component| enabled >> one.number & 1 == 1 && (is_compacted || one.number == AVX);
        let end = COMPONENTS.iter().filter(is_meant).map(|one| one.offset + one.bytes).max();
        set.resize(set.len().max(end.unwrap_or(0)), 0);
    }
    set
}

/// What `FXSAVE` writes does not say what is enabled: the kernel has zeros there.
pub(super) fn forget_enabled(legacy: &mut [u8]) {
    if let Some(enabled) = legacy.get_mut(ENABLED_AT..ENABLED_AT + 8) {
        enabled.fill(0);
    }
}

/// `CONTEXT_EX`, the zeros behind it, and the area. `None` where there is nothing beyond the legacy region.
pub(super) fn encode(set: &[u8]) -> Option<Vec<u8>> {
    let area =
        set.get(LEGACY_BYTES..).filter(|area| area.len() > HEADER_BYTES && area.len() <= MOST_BYTES)?;
    let compacted = compact(set);
    let area = compacted.as_deref().unwrap_or(area);
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

/// The header and the components that are not zero, one behind the other, up to where all is zero: most threads wait, and a dump
/// of many would be half zeros. What wrote less says so by the length of the area. `None` where the components have other places than on processors of Intel, or are compacted already.
fn compact(set: &[u8]) -> Option<Vec<u8>> {
    if !INTEL_LENGTHS.contains(&set.len()) || word(set, LEGACY_BYTES + 8) != 0 {
        return None;
    }
    let mask = word(set, LEGACY_BYTES);
    let mut area = vec![0; HEADER_BYTES];
    let mut form = COMPACTED | 0b11;
    for Component { number, offset, bytes, alignment } in COMPONENTS {
        let Some(component) = set.get(*offset..offset + bytes) else { break };
        if component.iter().any(|byte| *byte != 0) {
            form |= 1 << number;
            area.resize(area.len().next_multiple_of(*alignment), 0);
            area.extend(component);
        }
    }
    let used = area.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    area.truncate(used.max(HEADER_BYTES).next_multiple_of(16));
    area[..8].copy_from_slice(&mask.to_le_bytes());
    area[8..16].copy_from_slice(&form.to_le_bytes());
    Some(area)
}

/// Puts the components of the compacted form where they are in the standard one. Those that follow one of unknown length
/// are not found.
fn expand(set: &mut Vec<u8>, area: &[u8]) {
    let (mask, form) = (word(area, 0), word(area, 8));
    set.resize(LEGACY_BYTES + HEADER_BYTES, 0);
    let mut at = HEADER_BYTES;
    for number in (2..63).filter(|number| form >> number & 1 == 1) {
        let Some(known) = COMPONENTS.iter().find(|one| one.number == number) else { break };
        at = at.next_multiple_of(known.alignment);
        // What the area ends before is zero.
        let component = &area[at.min(area.len())..(at + known.bytes).min(area.len())];
        if mask >> number & 1 == 1 {
            set.resize(set.len().max(known.offset + known.bytes), 0);
            set[known.offset..known.offset + component.len()].copy_from_slice(component);
        }
        at += known.bytes;
    }
    set[LEGACY_BYTES..LEGACY_BYTES + 8].copy_from_slice(&mask.to_le_bytes());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
