//! Numbers of one to ten bytes: seven bits a byte, the lowest first (LEB128).

use wrasse_tracer::Exhausted;

/// The most bytes that one number takes.
pub const MOST: usize = 10;

/// Bytes under construction. Room is asked for before it is used.
#[derive(Debug, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Make room for `numbers` numbers.
    pub fn reserve(&mut self, numbers: usize) -> Result<(), Exhausted> {
        self.0
            .try_reserve(numbers.checked_mul(MOST).ok_or(Exhausted)?)?;
        Ok(())
    }

    /// Append a number.
    pub fn number(&mut self, mut value: u64) -> Result<(), Exhausted> {
        self.reserve(1)?;
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        Ok(())
    }

    /// Append a number that may be negative: small ones of either sign are short.
    pub fn signed(&mut self, value: i64) -> Result<(), Exhausted> {
        self.number((value << 1 ^ value >> 63) as u64)
    }

    /// Append bytes, after their number.
    pub fn text(&mut self, text: &[u8]) -> Result<(), Exhausted> {
        self.number(text.len() as u64)?;
        self.0.try_reserve(text.len())?;
        self.0.extend_from_slice(text);
        Ok(())
    }
}

/// What is left to be read. Every answer is nothing once the bytes are no
/// number of this form, or there are not enough of them.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (index, &byte) in self.0.iter().enumerate().take(MOST) {
            let bits = u64::from(byte & 0x7f);
            if index == MOST - 1 && byte > 1 {
                return None;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Some(value);
            }
        }
        None
    }

    /// The next number, which must be below 2³².
    pub fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// The next number that may be negative.
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next bytes, after their number.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_too_long_or_cut_off_is_no_number() {
        assert_eq!(Reader(&[]).number(), None);
        assert_eq!(Reader(&[0x80]).number(), None);
        assert_eq!(Reader(&[0xff; 10]).number(), None);
        assert_eq!(Reader(&[0xff; 11]).number(), None);
        assert_eq!(Reader(&[3, 1, 2]).text(), None);
        assert_eq!(Reader(&[0x80, 0x80, 0x80, 0x80, 0x10]).small(), None);
    }

    proptest! {
        #[test]
        fn numbers_read_back(values in proptest::collection::vec(any::<u64>(), 0..20), shift in 0u32..64) {
            let mut bytes = Bytes::default();
            for &value in &values {
                bytes.number(value >> shift).unwrap();
                bytes.signed((value as i64) >> shift).unwrap();
                bytes.text(&value.to_le_bytes()).unwrap();
            }
            let mut reader = Reader(&bytes.0);
            for &value in &values {
                prop_assert_eq!(reader.number(), Some(value >> shift));
                prop_assert_eq!(reader.signed(), Some((value as i64) >> shift));
                prop_assert_eq!(reader.text(), Some(&value.to_le_bytes()[..]));
            }
            prop_assert!(reader.0.is_empty());
        }
    }
}
