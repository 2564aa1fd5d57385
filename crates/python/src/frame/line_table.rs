//! The lines of a code object's instructions, from its location table.
//!
//! CPython's own function walks the table from its beginning whenever it is asked. A
//! module's code runs from its first line to its last once, and each of its lines is new:
//! to ask for all of them takes the square of their number, a tenth of the time of a program
//! that imports much. Here a [`Cursor`] stays where the last question left it.
//!
//! The format, the same from 3.11 on, is described in CPython's `Objects/locations.md`: entries
//! of some bytes, of which only the first has bit 7 set. Its bits 3 to 6 are the kind of the
//! entry, its bits 0 to 2 the number of code units that the entry is for, less one. What
//! an entry says of lines is a difference to the entry before.

use std::ffi::c_int;

use pyo3_ffi::*;

use super::{CODE, LINE_TABLE};
use crate::layout::load;

/// An entry's first byte has this bit.
const FIRST: u8 = 0x80;
/// Kinds of entries. The ones below these three are for instructions on the same line.
const NEXT_LINES: std::ops::RangeInclusive<u8> = 10..=12;
const NO_COLUMNS: u8 = 13;
const LONG: u8 = 14;
/// With [`FIRST`], as CPython asks for it.
const NO_LOCATION: u8 = FIRST >> 3 | 15;
/// What CPython says where there is no line.
const NO_LINE: c_int = -1;

/// How far a table has been read: the entry read last.
#[derive(Clone, Copy, Default)]
pub struct Cursor {
    /// The code units that it is for.
    begin: u32,
    end: u32,
    /// The byte of the table behind it.
    next: u32,
    /// From the code object's first line to the last one named.
    difference: i32,
    has_line: bool,
}

/// A code object's table.
pub struct LineTable<'a> {
    bytes: &'a [u8],
    first_line: c_int,
}

impl LineTable<'_> {
    /// Nothing where it has none that can be read.
    ///
    /// # Safety
    /// `code` is a live code object, and stays so.
    pub unsafe fn of(code: *mut PyObject) -> Option<Self> {
        // SAFETY: a live code object, whose layout the self-check has compared; what is at
        // `LINE_TABLE` of it is an object, and a bytes object's bytes are its own.
        unsafe {
            let table: *mut PyObject = load(code.cast(), CODE.filename + LINE_TABLE);
            if table.is_null() || PyBytes_Check(table) == 0 {
                return None;
            }
            let size = usize::try_from(PyBytes_Size(table)).ok()?;
            Some(Self {
                bytes: std::slice::from_raw_parts(PyBytes_AsString(table).cast(), size),
                first_line: load(code.cast(), CODE.first_line),
            })
        }
    }

    /// The line of a code unit, as `PyCode_Addr2Line` has it: -1 where it has none.
    ///
    /// The cursor is one of this table. Takes as long as there are entries between the
    /// cursor and the unit, or from the beginning where the unit is before the cursor.
    pub fn line(&self, cursor: &mut Cursor, unit: usize) -> c_int {
        if unit < cursor.begin as usize {
            *cursor = Cursor::default();
        }
        while unit >= cursor.end as usize {
            if !self.advance(cursor) {
                return NO_LINE;
            }
        }
        if cursor.has_line {
            self.first_line.wrapping_add(cursor.difference)
        } else {
            NO_LINE
        }
    }

    /// Reads one entry more, if there is one.
    fn advance(&self, cursor: &mut Cursor) -> bool {
        let mut at = cursor.next as usize;
        let Some(&first) = self.bytes.get(at) else {
            return false;
        };
        at += 1;
        let kind = first >> 3 & 15;
        let difference = match kind {
            NO_COLUMNS | LONG => self.signed(at),
            _ if NEXT_LINES.contains(&kind) => i32::from(kind - NEXT_LINES.start()),
            _ => 0,
        };
        while self.bytes.get(at).is_some_and(|byte| byte & FIRST == 0) {
            at += 1;
        }
        let Ok(next) = u32::try_from(at) else {
            return false;
        };
        *cursor = Cursor {
            begin: cursor.end,
            end: cursor.end.saturating_add(u32::from(first & 7) + 1),
            next,
            difference: cursor.difference.wrapping_add(difference),
            has_line: first >> 3 != NO_LOCATION,
        };
        true
    }

    /// A number of six bits a byte, the lowest first, where bit 6 says that one more follows;
    /// its own lowest bit is the sign.
    fn signed(&self, mut at: usize) -> i32 {
        let mut number = 0_u32;
        for shift in (0..u32::BITS).step_by(6) {
            let byte = self.bytes.get(at).copied().unwrap_or(0);
            number |= u32::from(byte & 63) << shift;
            if byte & 64 == 0 {
                break;
            }
            at += 1;
        }
        let size = (number >> 1) as i32;
        if number & 1 == 0 { size } else { -size }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An entry as a compiler means it: how many units, and which line, if any.
    #[derive(Clone, Debug)]
    struct Meant {
        units: u8,
        line: Option<i32>,
        is_long: bool,
    }

    fn entries() -> impl Strategy<Value = Vec<Meant>> {
        let line = prop_oneof![4 => (1..40).prop_map(Some), 1 => (1..100_000).prop_map(Some), 1 => Just(None)];
        let entry = (1_u8..=8, line, any::<bool>()).prop_map(|(units, line, is_long)| Meant {
            units,
            line,
            is_long,
        });
        proptest::collection::vec(entry, 0..60)
    }

    fn varint(bytes: &mut Vec<u8>, mut number: u32) {
        while number >= 64 {
            bytes.push(number as u8 & 63 | 64);
            number >>= 6;
        }
        bytes.push(number as u8);
    }

    fn encoded(entries: &[Meant], first_line: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut line = first_line;
        for each in entries {
            let begin = |kind: u8| FIRST | (kind & 15) << 3 | (each.units - 1);
            let Some(now) = each.line else {
                bytes.push(begin(NO_LOCATION));
                continue;
            };
            let difference = now - line;
            line = now;
            let sign = if difference < 0 { 1 } else { 0 };
            match difference {
                0 if !each.is_long => bytes.extend([begin(3), 0x12]),
                0..=2 if !each.is_long => bytes.extend([begin(10 + difference as u8), 5, 9]),
                _ => {
                    bytes.push(begin(if each.is_long { LONG } else { NO_COLUMNS }));
                    varint(&mut bytes, difference.unsigned_abs() << 1 | sign);
                    if each.is_long {
                        for number in [0, 7, 500] {
                            varint(&mut bytes, number);
                        }
                    }
                }
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn lines_are_those_meant_in_any_order(
            entries in entries(),
            first_line in 1..1000,
            asked in proptest::collection::vec(0_usize..500, 1..50),
        ) {
            let bytes = encoded(&entries, first_line);
            let table = LineTable { bytes: &bytes, first_line };
            let units: Vec<_> = entries
                .iter()
                .flat_map(|each| std::iter::repeat_n(each.line.unwrap_or(NO_LINE), each.units.into()))
                .collect();
            let mut cursor = Cursor::default();
            for unit in asked.into_iter().chain(0..units.len()) {
                let meant = units.get(unit).copied().unwrap_or(NO_LINE);
                prop_assert_eq!(table.line(&mut cursor, unit), meant, "unit {}", unit);
            }
        }

        #[test]
        fn any_bytes_have_an_end(bytes: Vec<u8>, asked: Vec<u16>) {
            let table = LineTable { bytes: &bytes, first_line: 1 };
            let mut cursor = Cursor::default();
            for unit in asked {
                table.line(&mut cursor, unit.into());
            }
        }
    }
}
