//! Attribute values (DWARF 5, section 7.5.5).

use gimli::{DwForm, Encoding, constants as dw};

use super::reader::Reader;

/// What an attribute holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// There is no such attribute.
    #[default]
    None,
    Address(u64),
    /// An index into the unit's part of `.debug_addr`.
    AddressIndex(u64),
    /// A constant whose sign depends on what it is a value of.
    Number(u64),
    /// A constant that says itself that it has a sign.
    Signed(i64),
    Flag(bool),
    /// Bytes; before version 4 they may be an expression. A constant of 16 bytes is one too.
    Block(&'a [u8]),
    /// A DWARF expression.
    Expression(&'a [u8]),
    /// An offset into some other section.
    Offset(usize),
    /// An index into the unit's range lists.
    ListIndex(u64),
    /// An index into the unit's location lists.
    LocationIndex(u64),
    /// An entry of the same unit, from the unit's start.
    UnitEntry(usize),
    /// An entry of any unit, from the start of `.debug_info`.
    InfoEntry(usize),
    /// The same in the supplementary file.
    SupplementaryEntry(usize),
    /// The type of the type unit with this signature.
    Signature(u64),
    Text(&'a [u8]),
    /// An offset into `.debug_str`.
    Str(usize),
    LineStr(usize),
    SupplementaryStr(usize),
    /// An index into the unit's part of `.debug_str_offsets`.
    StrIndex(u64),
}

impl<'a> Value<'a> {
    /// Reads the value of an attribute of this form; `constant` is what the abbreviation says for
    /// `DW_FORM_implicit_const`.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        form: DwForm,
        constant: i64,
        encoding: Encoding,
    ) -> Option<Self> {
        let format = encoding.format;
        let entry = |offset: u64| usize::try_from(offset).ok().map(Self::UnitEntry);
        Some(match form {
            dw::DW_FORM_addr => Self::Address(reader.uint(encoding.address_size)?),
            dw::DW_FORM_addrx | dw::DW_FORM_GNU_addr_index => Self::AddressIndex(reader.leb()?),
            dw::DW_FORM_addrx1 => Self::AddressIndex(reader.uint(1)?),
            dw::DW_FORM_addrx2 => Self::AddressIndex(reader.uint(2)?),
            dw::DW_FORM_addrx3 => Self::AddressIndex(reader.uint(3)?),
            dw::DW_FORM_addrx4 => Self::AddressIndex(reader.uint(4)?),
            dw::DW_FORM_data1 => Self::Number(reader.uint(1)?),
            dw::DW_FORM_data2 => Self::Number(reader.uint(2)?),
            dw::DW_FORM_data4 => Self::Number(reader.uint(4)?),
            dw::DW_FORM_data8 => Self::Number(reader.uint(8)?),
            dw::DW_FORM_udata => Self::Number(reader.leb()?),
            dw::DW_FORM_sdata => Self::Signed(reader.signed_leb()?),
            dw::DW_FORM_implicit_const => Self::Signed(constant),
            dw::DW_FORM_data16 => Self::Block(reader.bytes(16)?),
            dw::DW_FORM_flag => Self::Flag(reader.u8()? != 0),
            dw::DW_FORM_flag_present => Self::Flag(true),
            dw::DW_FORM_block1 => Self::Block(block(reader, 1)?),
            dw::DW_FORM_block2 => Self::Block(block(reader, 2)?),
            dw::DW_FORM_block4 => Self::Block(block(reader, 4)?),
            dw::DW_FORM_block | dw::DW_FORM_exprloc => {
                let length = usize::try_from(reader.leb()?).ok()?;
                let bytes = reader.bytes(length)?;
                if form == dw::DW_FORM_block { Self::Block(bytes) } else { Self::Expression(bytes) }
            }
            dw::DW_FORM_sec_offset => Self::Offset(reader.offset(format)?),
            dw::DW_FORM_rnglistx => Self::ListIndex(reader.leb()?),
            dw::DW_FORM_loclistx => Self::LocationIndex(reader.leb()?),
            dw::DW_FORM_ref1 => entry(reader.uint(1)?)?,
            dw::DW_FORM_ref2 => entry(reader.uint(2)?)?,
            dw::DW_FORM_ref4 => entry(reader.uint(4)?)?,
            dw::DW_FORM_ref8 => entry(reader.uint(8)?)?,
            dw::DW_FORM_ref_udata => entry(reader.leb()?)?,
            // Version 2 gave it the size of an address.
            dw::DW_FORM_ref_addr if encoding.version == 2 => {
                Self::InfoEntry(usize::try_from(reader.uint(encoding.address_size)?).ok()?)
            }
            dw::DW_FORM_ref_addr => Self::InfoEntry(reader.offset(format)?),
            dw::DW_FORM_GNU_ref_alt => Self::SupplementaryEntry(reader.offset(format)?),
            dw::DW_FORM_ref_sup4 => Self::SupplementaryEntry(usize::try_from(reader.uint(4)?).ok()?),
            dw::DW_FORM_ref_sig8 => Self::Signature(reader.uint(8)?),
            dw::DW_FORM_ref_sup8 => Self::SupplementaryEntry(usize::try_from(reader.uint(8)?).ok()?),
            dw::DW_FORM_string => Self::Text(reader.text()?),
            dw::DW_FORM_strp => Self::Str(reader.offset(format)?),
            dw::DW_FORM_line_strp => Self::LineStr(reader.offset(format)?),
            dw::DW_FORM_strp_sup | dw::DW_FORM_GNU_strp_alt => Self::SupplementaryStr(reader.offset(format)?),
            dw::DW_FORM_strx | dw::DW_FORM_GNU_str_index => Self::StrIndex(reader.leb()?),
            dw::DW_FORM_strx1 => Self::StrIndex(reader.uint(1)?),
            dw::DW_FORM_strx2 => Self::StrIndex(reader.uint(2)?),
            dw::DW_FORM_strx3 => Self::StrIndex(reader.uint(3)?),
            dw::DW_FORM_strx4 => Self::StrIndex(reader.uint(4)?),
            dw::DW_FORM_indirect => {
                let form = indirect_form(reader)?;
                Self::read(reader, form, 0, encoding)?
            }
            _ => {
                skip(reader, form, encoding)?;
                Self::None
            }
        })
    }

    /// The same value, where it is not made of the file's bytes.
    pub(super) fn detached(self) -> Option<Value<'static>> {
        Some(match self {
            Self::Block(_) | Self::Expression(_) | Self::Text(_) => return None,
            Self::None => Value::None,
            Self::Address(address) => Value::Address(address),
            Self::AddressIndex(index) => Value::AddressIndex(index),
            Self::Number(number) => Value::Number(number),
            Self::Signed(number) => Value::Signed(number),
            Self::Flag(flag) => Value::Flag(flag),
            Self::Offset(offset) => Value::Offset(offset),
            Self::ListIndex(index) => Value::ListIndex(index),
            Self::LocationIndex(index) => Value::LocationIndex(index),
            Self::UnitEntry(at) => Value::UnitEntry(at),
            Self::InfoEntry(offset) => Value::InfoEntry(offset),
            Self::SupplementaryEntry(offset) => Value::SupplementaryEntry(offset),
            Self::Signature(signature) => Value::Signature(signature),
            Self::Str(offset) => Value::Str(offset),
            Self::LineStr(offset) => Value::LineStr(offset),
            Self::SupplementaryStr(offset) => Value::SupplementaryStr(offset),
            Self::StrIndex(index) => Value::StrIndex(index),
        })
    }

    /// A constant; a negative one wraps.
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Signed(number) => Some(number.cast_unsigned()),
            _ => None,
        }
    }

    /// Whether it is a flag that is set.
    pub(crate) fn is_set(self) -> bool {
        self == Self::Flag(true)
    }

    /// What may be an expression: before version 4 it was a block.
    pub(crate) fn expression(self) -> Option<&'a [u8]> {
        if let Self::Block(bytes) | Self::Expression(bytes) = self { Some(bytes) } else { None }
    }

    /// An offset; before version 4 it was a plain number.
    pub(crate) fn offset(self) -> Option<usize> {
        match self {
            Self::Offset(offset) => Some(offset),
            value => usize::try_from(value.number()?).ok(),
        }
    }
}

/// Bytes behind a length of `size` bytes.
fn block<'a>(reader: &mut Reader<'a>, size: u8) -> Option<&'a [u8]> {
    let length = reader.uint(size)?;
    reader.bytes(usize::try_from(length).ok()?)
}

/// The form that stands before the value. Not another indirect one: that could go on for long.
pub(super) fn indirect_form(reader: &mut Reader<'_>) -> Option<DwForm> {
    let form = DwForm(u16::try_from(reader.leb()?).ok()?);
    let plain = form != dw::DW_FORM_indirect && form != dw::DW_FORM_implicit_const;
    plain.then_some(form)
}

/// How a form is passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// So many bytes.
    Fixed(u8),
    Leb,
    /// To the next NUL.
    Text,
    /// A length of so many bytes, then as many bytes as it says.
    Block(u8),
    /// A LEB128 length, then as many bytes.
    LebBlock,
    /// The form stands before the value.
    Indirect,
}

impl Extent {
    /// `None` for a form that nobody knows: what follows it cannot be read.
    pub(super) fn of(form: DwForm, encoding: Encoding) -> Option<Self> {
        let word = encoding.format.word_size();
        Some(match form {
            dw::DW_FORM_flag_present | dw::DW_FORM_implicit_const => Self::Fixed(0),
            dw::DW_FORM_data1
            | dw::DW_FORM_flag
            | dw::DW_FORM_ref1
            | dw::DW_FORM_strx1
            | dw::DW_FORM_addrx1 => Self::Fixed(1),
            dw::DW_FORM_data2 | dw::DW_FORM_ref2 | dw::DW_FORM_strx2 | dw::DW_FORM_addrx2 => Self::Fixed(2),
            dw::DW_FORM_strx3 | dw::DW_FORM_addrx3 => Self::Fixed(3),
            dw::DW_FORM_data4
            | dw::DW_FORM_ref4
            | dw::DW_FORM_ref_sup4
            | dw::DW_FORM_strx4
            | dw::DW_FORM_addrx4 => Self::Fixed(4),
            dw::DW_FORM_data8 | dw::DW_FORM_ref8 | dw::DW_FORM_ref_sig8 | dw::DW_FORM_ref_sup8 => {
                Self::Fixed(8)
            }
            dw::DW_FORM_data16 => Self::Fixed(16),
            dw::DW_FORM_addr => Self::Fixed(encoding.address_size),
            dw::DW_FORM_ref_addr if encoding.version == 2 => Self::Fixed(encoding.address_size),
            dw::DW_FORM_ref_addr
            | dw::DW_FORM_sec_offset
            | dw::DW_FORM_strp
            | dw::DW_FORM_line_strp
            | dw::DW_FORM_strp_sup
            | dw::DW_FORM_GNU_strp_alt
            | dw::DW_FORM_GNU_ref_alt => Self::Fixed(word),
            dw::DW_FORM_udata
            | dw::DW_FORM_sdata
            | dw::DW_FORM_ref_udata
            | dw::DW_FORM_strx
            | dw::DW_FORM_addrx
            | dw::DW_FORM_loclistx
            | dw::DW_FORM_rnglistx
            | dw::DW_FORM_GNU_str_index
            | dw::DW_FORM_GNU_addr_index => Self::Leb,
            dw::DW_FORM_string => Self::Text,
            dw::DW_FORM_block1 => Self::Block(1),
            dw::DW_FORM_block2 => Self::Block(2),
            dw::DW_FORM_block4 => Self::Block(4),
            dw::DW_FORM_block | dw::DW_FORM_exprloc => Self::LebBlock,
            dw::DW_FORM_indirect => Self::Indirect,
            _ => return None,
        })
    }

    #[inline]
    pub(super) fn skip(self, reader: &mut Reader<'_>, encoding: Encoding) -> Option<()> {
        match self {
            Self::Fixed(size) => reader.skip(size.into()),
            Self::Leb => reader.skip_leb()?,
            Self::Text => drop(reader.text()?),
            Self::Block(size) => {
                let length = reader.uint(size)?;
                reader.skip(usize::try_from(length).ok()?);
            }
            Self::LebBlock => {
                let length = reader.leb()?;
                reader.skip(usize::try_from(length).ok()?);
            }
            Self::Indirect => {
                let form = indirect_form(reader)?;
                skip(reader, form, encoding)?;
            }
        }
        Some(())
    }
}

fn skip(reader: &mut Reader<'_>, form: DwForm, encoding: Encoding) -> Option<()> {
    match Extent::of(form, encoding)? {
        // Not to be followed further.
        Extent::Indirect => None,
        extent => extent.skip(reader, encoding),
    }
}
