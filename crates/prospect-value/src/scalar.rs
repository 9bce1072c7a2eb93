//! Numbers, from their bytes.

use prospect_process::{Arch, ArchInfo};
use prospect_symbols::type_info::{Base, Type, TypeKind};

use crate::{FloatFormat, value::Float};

/// Bytes in the order of the machine, as a number. At most 16.
pub(crate) fn unsigned(bytes: &[u8], big_endian: bool) -> Option<u128> {
    let mut word = [0; 16];
    if big_endian {
        word.get_mut(16usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
        Some(u128::from_be_bytes(word))
    } else {
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u128::from_le_bytes(word))
    }
}

/// The lowest `bits` bits as a number with a sign.
pub(crate) fn sign_extended(number: u128, bits: u32) -> i128 {
    match 128u32.checked_sub(bits) {
        Some(above @ 0..128) => (number << above) as i128 >> above,
        _ => 0,
    }
}

/// The lowest `count` bytes of a number in the order of the machine.
pub(crate) fn bytes_of(number: u128, count: usize, big_endian: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        number.to_le_bytes().into_iter().chain(std::iter::repeat(0)).take(count).collect();
    if big_endian {
        bytes.reverse();
    }
    bytes
}

/// Whether the bytes of a type stand with the most significant one first.
pub(crate) fn is_big_endian(ty: &Type, arch: &ArchInfo) -> bool {
    let swapped = matches!(ty.kind, TypeKind::Base(Base { swapped: true, .. }));
    arch.big_endian != swapped
}

/// The format of the floating point numbers of a type.
pub(crate) fn float_format(ty: &Type, bytes: u64, arch: &ArchInfo) -> Option<FloatFormat> {
    let is_x86 = [Arch::X86_64, Arch::I386].iter().any(|x86| x86.info().elf_machine == arch.elf_machine);
    let name = ty.name.as_deref().unwrap_or_default();
    Some(match bytes {
        2 if name.to_ascii_lowercase().contains("bf") => FloatFormat::Brain,
        2 => FloatFormat::Half,
        4 => FloatFormat::Single,
        8 => FloatFormat::Double,
        10 | 12 => FloatFormat::Extended,
        16 if is_x86 && !name.contains("128") => FloatFormat::Extended,
        16 if arch.name.starts_with("ppc") && name == "long double" => FloatFormat::DoubleDouble,
        16 => FloatFormat::Quad,
        _ => return None,
    })
}

/// A floating point number from its bytes.
pub(crate) fn float(bytes: &[u8], format: FloatFormat, big_endian: bool) -> Option<Float> {
    // Behind the ten bytes of x87 comes what has no meaning.
    let used = if format == FloatFormat::Extended && !big_endian { bytes.get(..10)? } else { bytes };
    let bits = unsigned(used, big_endian)?;
    let value = match format {
        FloatFormat::DoubleDouble => {
            let half = |bytes| Some(FloatFormat::Double.parts(unsigned(bytes, big_endian)?).value());
            half(bytes.get(..8)?)? + half(bytes.get(8..16)?)?
        }
        _ => format.parts(bits).value(),
    };
    Some(Float { value, bits, format })
}
