//! Floating point formats.

/// How the bytes of a floating point number are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FloatFormat {
    /// IEEE 754 binary16.
    Half,
    /// The upper half of a binary32.
    Brain,
    /// IEEE 754 binary32.
    Single,
    /// IEEE 754 binary64.
    Double,
    /// x87's, with 64 bits of mantissa (Intel SDM, volume 1, section 4.2.2).
    Extended,
    /// IEEE 754 binary128.
    Quad,
    /// Two binary64s whose sum it is: `long double` of PowerPC.
    DoubleDouble,
}

/// A number taken apart: ±`mantissa` × 2^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    Finite { negative: bool, mantissa: u128, exponent: i32 },
    Infinite { negative: bool },
    NotANumber { negative: bool },
}

impl FloatFormat {
    /// (bits of the exponent, bits of the mantissa that are stored)
    fn layout(self) -> (u32, u32) {
        match self {
            Self::Half => (5, 10),
            Self::Brain => (8, 7),
            Self::Single => (8, 23),
            Self::Double | Self::DoubleDouble => (11, 52),
            Self::Extended => (15, 64),
            Self::Quad => (15, 112),
        }
    }

    /// How many digits tell every two numbers apart.
    pub(crate) fn digits(self) -> usize {
        match self {
            Self::Half => 5,
            Self::Brain => 4,
            Self::Single => 9,
            Self::Double => 17,
            Self::Extended => 18,
            Self::Quad | Self::DoubleDouble => 33,
        }
    }

    /// The parts of a number with these bits.
    pub(crate) fn parts(self, bits: u128) -> Parts {
        let (exponent_bits, mantissa_bits) = self.layout();
        let explicit_one = self == Self::Extended;
        let mut mantissa = bits & ((1u128 << mantissa_bits) - 1);
        let biased = (bits >> mantissa_bits) as u32 & ((1 << exponent_bits) - 1);
        let negative = bits >> (mantissa_bits + exponent_bits) & 1 == 1;
        let fraction_bits = if explicit_one { mantissa_bits - 1 } else { mantissa_bits };
        if biased == (1 << exponent_bits) - 1 {
            let fraction = mantissa & ((1u128 << fraction_bits) - 1);
            return if fraction == 0 { Parts::Infinite { negative } } else { Parts::NotANumber { negative } };
        }
        if biased != 0 && !explicit_one {
            mantissa |= 1 << mantissa_bits;
        }
        let bias = (1 << (exponent_bits - 1)) - 1;
        let exponent = biased.max(1) as i32 - bias - fraction_bits as i32;
        Parts::Finite { negative, mantissa, exponent }
    }

    /// The bits of the number of this format next to `value`; `None` for formats that nobody makes numbers in.
    pub(crate) fn bits_of(self, value: f64) -> Option<u128> {
        match self {
            Self::Single => Some((value as f32).to_bits().into()),
            Self::Double => Some(value.to_bits().into()),
            Self::Extended | Self::Quad => Some(self.widened(value)),
            _ => None,
        }
    }

    fn widened(self, value: f64) -> u128 {
        let (exponent_bits, mantissa_bits) = self.layout();
        let explicit_one = self == Self::Extended;
        let fraction_bits = if explicit_one { mantissa_bits - 1 } else { mantissa_bits };
        let sign = u128::from(value.is_sign_negative()) << (exponent_bits + mantissa_bits);
        let one = if explicit_one { 1u128 << fraction_bits } else { 0 };
        let highest = ((1u128 << exponent_bits) - 1) << mantissa_bits;
        match Self::Double.parts(value.to_bits().into()) {
            Parts::Infinite { .. } => sign | highest | one,
            Parts::NotANumber { .. } => sign | highest | one | 1 << (fraction_bits - 1),
            Parts::Finite { mantissa: 0, .. } => sign,
            Parts::Finite { mantissa, exponent, .. } => {
                let width = 128 - mantissa.leading_zeros();
                let fraction = (mantissa << (fraction_bits + 1 - width)) & ((1 << fraction_bits) - 1);
                let bias = (1i32 << (exponent_bits - 1)) - 1;
                let biased = (exponent + width as i32 - 1 + bias) as u128;
                sign | biased << mantissa_bits | one | fraction
            }
        }
    }
}

impl Parts {
    /// The double next to it.
    pub(crate) fn value(self) -> f64 {
        let (negative, value) = match self {
            Self::Infinite { negative } => (negative, f64::INFINITY),
            Self::NotANumber { negative } => (negative, f64::NAN),
            Self::Finite { negative, mantissa, exponent } => (negative, scaled(mantissa, exponent)),
        };
        if negative { -value } else { value }
    }
}

/// `mantissa` × 2^`exponent`, rounded once.
fn scaled(mantissa: u128, exponent: i32) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let width = 128 - mantissa.leading_zeros() as i32;
    let top = exponent + width - 1;
    if top > 1023 {
        return f64::INFINITY;
    }
    // Subnormal doubles have fewer bits.
    let keep = if top < -1022 { 53 - (-1022 - top) } else { 53 };
    if keep < 0 {
        return 0.0;
    }
    let drop = width - keep;
    let (kept, exponent) = if drop > 0 {
        let kept = if drop >= 128 { 0 } else { mantissa >> drop };
        let rest = if drop >= 128 { mantissa } else { mantissa & ((1 << drop) - 1) };
        let half = 1u128 << (drop - 1).min(127);
        let up = rest > half || rest == half && kept & 1 == 1;
        (kept + u128::from(up), exponent + drop)
    } else {
        (mantissa, exponent)
    };
    // Exact: at most 53 bits, in two steps so that the factor itself is a normal number.
    let first = exponent.clamp(-1000, 1000);
    kept as f64 * power_of_two(first) * power_of_two((exponent - first).clamp(-1000, 1000))
}

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}
