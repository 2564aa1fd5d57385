//! Memory over time and pauses, cut to what a screen can show.

use std::cmp::Reverse;

use serde::Serialize;

use crate::recording::Recording;

/// Stretches of time of which the highest and the lowest sample are kept.
const STRETCHES: u64 = 800;
/// Pauses that are drawn one by one.
const MOST_PAUSES: usize = 3_000;

/// In columns, times in microseconds.
#[derive(Serialize, Default)]
pub struct Timeline {
    time: Vec<u64>,
    live: Vec<u64>,
    resident: Vec<u64>,
    /// How many samples there were.
    samples: usize,
    /// Which of those shown stands for the peak.
    peak: Option<usize>,
    end: u64,
    /// Start, duration, generation, objects freed; the longest if there are many.
    pauses: Vec<[u64; 4]>,
    /// How many pauses are not shown, and the longest of them.
    more_pauses: usize,
    longest_hidden: u64,
}

impl Timeline {
    pub fn new(recording: &Recording) -> Self {
        let capture = &recording.capture;
        let samples = &capture.samples;
        let peak = capture.peak_sample();
        let end = recording.duration();
        let mut kept: Vec<usize> = Vec::new();
        if samples.len() as u64 <= 3 * STRETCHES {
            kept.extend(0..samples.len());
        } else {
            let stretch = |at: &usize| {
                u128::from(samples[*at].time) * u128::from(STRETCHES) / u128::from(end.max(1))
            };
            let all: Vec<usize> = (0..samples.len()).collect();
            for group in all.chunk_by(|a, b| stretch(a) == stretch(b)) {
                kept.extend(group.first());
                kept.extend(group.iter().max_by_key(|at| samples[**at].live_bytes));
                kept.extend(group.iter().min_by_key(|at| samples[**at].live_bytes));
                kept.extend(group.iter().max_by_key(|at| samples[**at].resident_bytes));
            }
            kept.extend(peak);
            kept.push(samples.len() - 1);
            kept.sort_unstable();
            kept.dedup();
        }
        let mut pauses: Vec<_> = capture.pauses.iter().collect();
        pauses.sort_by_key(|pause| Reverse(pause.duration));
        let hidden = &pauses[pauses.len().min(MOST_PAUSES)..];
        let (more_pauses, longest_hidden) = (
            hidden.len(),
            hidden.first().map_or(0, |pause| pause.duration),
        );
        pauses.truncate(MOST_PAUSES);
        pauses.sort_by_key(|pause| pause.start);
        let column = |of: fn(&wrasse_capture::Sample) -> u64| {
            kept.iter().map(|at| of(&samples[*at])).collect()
        };
        Timeline {
            time: column(|sample| sample.time / 1000),
            live: column(|sample| sample.live_bytes),
            resident: column(|sample| sample.resident_bytes),
            samples: samples.len(),
            peak: peak.and_then(|peak| kept.iter().position(|at| *at == peak)),
            end: end / 1000,
            pauses: pauses
                .iter()
                .map(|pause| {
                    let micro = |nanoseconds: u64| nanoseconds / 1000;
                    let generation = pause.generation.into();
                    [
                        micro(pause.start),
                        micro(pause.duration),
                        generation,
                        pause.collected,
                    ]
                })
                .collect(),
            more_pauses,
            longest_hidden: longest_hidden / 1000,
        }
    }
}
