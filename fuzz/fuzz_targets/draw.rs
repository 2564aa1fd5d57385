//! Numbers from the fuzzer's bytes.

use arbitrary::Unstructured;

/// Calls `use_numbers` with a function that draws a number below its argument: 0
/// when the bytes are used up.
pub fn draw(data: &[u8], use_numbers: impl FnOnce(&mut dyn FnMut(usize) -> usize)) {
    let mut data = Unstructured::new(data);
    use_numbers(&mut |limit| data.int_in_range(0..=limit - 1).unwrap_or(0));
}
