//! Memory over time, as so many columns.

use wrasse_capture::Sample;

/// The most live bytes in each of `columns` equal parts of the time from `from` to
/// `to`, in nanoseconds. A part without a sample has what was live before it. Time
/// is linear in the samples and the columns.
pub fn columns(samples: &[Sample], from: u64, to: u64, columns: usize) -> Vec<u64> {
    let first = samples.partition_point(|sample| sample.time < from);
    let mut live = match first.checked_sub(1) {
        Some(before) => samples[before].live_bytes,
        None => 0,
    };
    let mut rest = samples[first..]
        .iter()
        .take_while(|sample| sample.time <= to)
        .peekable();
    let length = u128::from(to.saturating_sub(from));
    let part = |column: usize| {
        let is_last = column + 1 == columns;
        let end = u128::from(from) + length * (column as u128 + 1) / columns as u128;
        let mut most = None;
        while let Some(sample) = rest.next_if(|each| is_last || u128::from(each.time) < end) {
            most = most.max(Some(sample.live_bytes));
            live = sample.live_bytes;
        }
        most.unwrap_or(live)
    };
    (0..columns).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(all: &[(u64, u64)]) -> Vec<Sample> {
        let sample = |&(time, live_bytes): &(u64, u64)| Sample {
            time,
            live_bytes,
            ..Sample::default()
        };
        all.iter().map(sample).collect()
    }

    #[test]
    fn each_part_has_its_most_and_what_was_before_goes_on() {
        let all = samples(&[(0, 5), (1, 90), (2, 10), (25, 30), (39, 40)]);
        assert_eq!(columns(&all, 0, 40, 4), [90, 10, 30, 40]);
        assert_eq!(columns(&all, 10, 30, 4), [10, 10, 10, 30]);
        assert_eq!(columns(&all, 0, 0, 2), [0, 5]);
        assert_eq!(columns(&all, 50, 60, 2), [40, 40]);
        assert_eq!(columns(&[], 0, 9, 3), [0, 0, 0]);
        assert!(columns(&all, 0, 40, 0).is_empty());
    }
}
