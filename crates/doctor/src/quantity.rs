//! Amounts of memory and of time, as settings write them.

use std::fmt;

use wrasse_report::units;

/// So much memory, or so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// Bytes.
    Bytes(u64),
    /// Milliseconds.
    Milliseconds(f64),
}

impl Quantity {
    /// Reads `512KiB`, `1.5 MiB`, `20ms` or `1s`; a unit must be there. Units of
    /// memory are powers of 1024 and may be shortened (`512K`).
    ///
    /// # Errors
    /// One line that says what a quantity looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is no amount: write bytes as 64KiB or 1MiB, time as 20ms or 1s");
        let trimmed = text.trim();
        let begin = trimmed
            .find(|c: char| c.is_ascii_alphabetic())
            .ok_or_else(wrong)?;
        let (number, unit) = trimmed.split_at(begin);
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        if !number.is_finite() || number < 0.0 {
            return Err(wrong());
        }
        let bytes = |unit: u64| Self::Bytes((number * unit as f64).round() as u64);
        Ok(match unit.to_ascii_lowercase().as_str() {
            "b" => bytes(1),
            "k" | "kb" | "kib" => bytes(1 << 10),
            "m" | "mb" | "mib" => bytes(1 << 20),
            "g" | "gb" | "gib" => bytes(1 << 30),
            "us" => Self::Milliseconds(number / 1e3),
            "ms" => Self::Milliseconds(number),
            "s" => Self::Milliseconds(number * 1e3),
            _ => return Err(wrong()),
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&match self {
            Self::Bytes(bytes) => units::size(*bytes),
            Self::Milliseconds(milliseconds) => units::duration(milliseconds / 1e3),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_unit() {
        assert_eq!(Quantity::parse("64KiB"), Ok(Quantity::Bytes(64 << 10)));
        assert_eq!(Quantity::parse(" 1.5 m "), Ok(Quantity::Bytes(3 << 19)));
        assert_eq!(Quantity::parse("20 ms"), Ok(Quantity::Milliseconds(20.0)));
        assert_eq!(Quantity::parse("1s"), Ok(Quantity::Milliseconds(1000.0)));
        for wrong in ["", "12", "MiB", "-1MiB", "1 parsec", "1e400 s", "nan s"] {
            assert!(Quantity::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_are_shown_with_their_unit() {
        assert_eq!(Quantity::Bytes(1 << 20).to_string(), "1.0 MiB");
        assert_eq!(Quantity::Milliseconds(12.5).to_string(), "12.5 ms");
    }
}
